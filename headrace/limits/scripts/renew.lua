local id, lease = ARGV[4], tonumber(ARGV[5])

local renewed = redis.call('ZSCORE', LEASES, id) and true or false
if renewed then
  redis.call('ZADD', LEASES, clock + lease, id)
end
save()
return {renewed and 1 or 0, raw}
