local id, lease, tokens, cost = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local wanted = tonumber(ARGV[8])
local rpm, tpm, places = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local budgets = {ARGV[12], ARGV[13], ARGV[14]}

-- Money is 64 bit, Lua's numbers are exact to 53: it is added up in two parts, whole units and nano units.
local function covers(amount, ...)
  local units, nanos = 0, 0
  local function add_up(sign, text)
    units = units + sign * (tonumber(string.sub(text, 1, -10)) or 0)
    nanos = nanos + sign * tonumber(string.sub(text, -9))
  end
  add_up(1, amount)
  for _, each in ipairs({...}) do
    add_up(-1, each)
  end
  return units + math.floor(nanos / 1e9) >= 0
end

if redis.call('HEXISTS', HELD, id) == 1 or redis.call('ZSCORE', DONE, id) then
  -- Sent twice, because the first answer was lost (in which slot it counts is not known any more), or overtaken by
  -- the settle of a gateway that gave up waiting.
  save()
  return {1, -1, epoch, taken()}
end

epoch = epoch or id
local fits = (not rpm or sum.requests < rpm)
  and (not tpm or sum.tokens + tokens <= tpm)
  and (not places or running() + wanted <= places)
for place = 1, 3 do
  fits = fits and (budgets[place] == '' or covers(budgets[place], spent[place], held, cost))
end

if not fits then
  save()
  return {0, wait('requests', sum.requests + 1 - (rpm or 0)), wait('tokens', sum.tokens + tokens - (tpm or 0)),
    taken()}
end
add('requests', 1)
add('tokens', tokens)
redis.call('ZADD', LEASES, clock + lease, id)
redis.call('HSET', HELD, id, cost)
held = redis.call('HINCRBY', HELD, 'sum', cost) and redis.call('HGET', HELD, 'sum')
if wanted > 1 then
  redis.call('HSET', HELD, 'more:' .. id, wanted - 1)
  redis.call('HINCRBY', HELD, 'more', wanted - 1)
end
save()
return {1, slot, epoch, taken()}
