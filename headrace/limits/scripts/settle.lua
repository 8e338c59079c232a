local id, of_epoch, of_slot = ARGV[4], ARGV[5], tonumber(ARGV[6])
local unused, cost = tonumber(ARGV[7]), ARGV[8]

local counts
if redis.call('ZSCORE', LEASES, id) then
  release(id)
  counts = true
elseif redis.call('ZREM', LATE, id) == 1 then
  counts = true
elseif epoch ~= of_epoch then
  -- Reserved before the state was lost, or not at all: nothing is known of it, but it ran.
  counts = redis.call('ZADD', DONE, 'NX', clock, id) == 1
  redis.call('ZREMRANGEBYSCORE', DONE, '-inf', clock - KEEP_MS * 1000)
end

if counts then
  if unused < 0 then
    add('tokens', -unused)
  elseif unused > 0 and epoch == of_epoch and of_slot >= oldest then
    redis.call('HINCRBY', RATE, 'tokens:' .. of_slot, -unused)
    sum.tokens = sum.tokens - unused
  end
  if cost ~= '0' then
    redis.call('HSET', SPENT, 'day', numbers.day, 'month', numbers.month)
    for _, period in ipairs({'day', 'month', 'total'}) do
      redis.call('HINCRBY', SPENT, period .. '.spent', cost)
    end
  end
end
save()
return {raw}
