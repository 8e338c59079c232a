-- The state of one tenant as it is now. Comes before the body of each script.
--
-- rate   hash: clock, epoch, sums of the window, and one field a second for requests and tokens
-- leases set of reservation ids by the end of their lease
-- held   hash: the cost that each lease holds, and their sum; the places beyond one (`more`) likewise
-- late   set of ids whose lease ended without a settle
-- done   set of ids that were settled although nothing was known of them
-- spent  hash: nano units by period; the only key that stays
local RATE, LEASES, HELD, LATE, DONE, SPENT = unpack(KEYS)
local KEEP_MS, LATEST, JUMPS = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local SECOND, WINDOW = 1000000, 60

local time = redis.call('TIME')
local raw = time[1] * SECOND + time[2]

-- All that is read first is read before anything is written: a key of the wrong type changes nothing.
local rate = redis.call('HMGET', RATE, 'seen', 'clock', 'epoch', 'requests', 'tokens', 'requests.last', 'tokens.last')
local held = redis.call('HGET', HELD, 'sum') or '0'
redis.call('ZCARD', LEASES)
redis.call('ZCARD', LATE)
redis.call('ZCARD', DONE)

-- The clock of this tenant never goes back, and leaves out what the gateways know to be jumps (redis_clock.py).
local seen = tonumber(rate[1]) or raw
local passed = raw - seen
local function leave_out(from, to)
  if seen <= from and raw >= to then
    passed = passed - (to - from)
  end
end
for from, to in string.gmatch(JUMPS, '(%d+)-(%d+)') do
  leave_out(tonumber(from), tonumber(to))
end
if LATEST > 0 and raw > LATEST + SECOND then
  leave_out(LATEST, raw)
end
local before = tonumber(rate[2]) or raw
local clock = before + math.max(0, passed)
local slot = math.floor(clock / SECOND)
local oldest = slot - WINDOW

local epoch = rate[3]
local sum = {requests = tonumber(rate[4]) or 0, tokens = tonumber(rate[5]) or 0}
local last = {requests = tonumber(rate[6]) or 0, tokens = tonumber(rate[7]) or 0}

-- What has left the window since.
local gone = {}
local first = math.floor(before / SECOND) - WINDOW
for each = first, math.min(oldest - 1, first + WINDOW) do
  gone[#gone + 1] = 'requests:' .. each
  gone[#gone + 1] = 'tokens:' .. each
end
if #gone > 0 then
  local counts = redis.call('HMGET', RATE, unpack(gone))
  for place = 1, #gone, 2 do
    sum.requests = sum.requests - (tonumber(counts[place]) or 0)
    sum.tokens = sum.tokens - (tonumber(counts[place + 1]) or 0)
  end
  redis.call('HDEL', RATE, unpack(gone))
end

local function add(what, count)
  if count ~= 0 then
    redis.call('HINCRBY', RATE, what .. ':' .. slot, count)
    sum[what] = sum[what] + count
    last[what] = slot
  end
end

-- Microseconds until nothing is left in the window.
local function reset(what)
  return last[what] >= oldest and (last[what] + WINDOW + 1) * SECOND - clock or 0
end

-- Microseconds until so much has left the window.
local function wait(what, excess)
  local ends = clock
  for each = oldest, slot do
    if excess <= 0 then break end
    local count = tonumber(redis.call('HGET', RATE, what .. ':' .. each) or 0)
    if count > 0 then
      excess = excess - count
      ends = (each + WINDOW + 1) * SECOND
    end
  end
  return ends - clock
end

local function release(id)
  local cost = redis.call('HGET', HELD, id)
  if cost and cost ~= '0' then
    redis.call('HINCRBY', HELD, 'sum', '-' .. cost)
  end
  local more = redis.call('HGET', HELD, 'more:' .. id)
  if more then
    redis.call('HINCRBY', HELD, 'more', '-' .. more)
  end
  redis.call('HDEL', HELD, id, 'more:' .. id)
  redis.call('ZREM', LEASES, id)
end

-- Places that running requests take.
local function running()
  return redis.call('ZCARD', LEASES) + (tonumber(redis.call('HGET', HELD, 'more')) or 0)
end

-- Leases that ended.
repeat
  local ended = redis.call('ZRANGEBYSCORE', LEASES, '-inf', clock, 'LIMIT', 0, 500)
  for _, id in ipairs(ended) do
    redis.call('ZADD', LATE, clock, id)
    release(id)
  end
  if #ended > 0 then
    redis.call('ZREMRANGEBYSCORE', LATE, '-inf', clock - KEEP_MS * 1000)
    held = redis.call('HGET', HELD, 'sum') or '0'
  end
until #ended == 0

-- Days since 1970 and months since year 0. The calendar is Howard Hinnant's `civil_from_days`.
local day = math.floor(time[1] / 86400)
local era_day = (day + 719468) % 146097
local year_of_era = math.floor(
  (era_day - math.floor(era_day / 1460) + math.floor(era_day / 36524) - math.floor(era_day / 146096)) / 365)
local day_of_year = era_day - (365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100))
local march_month = math.floor((5 * day_of_year + 2) / 153)
local year = year_of_era + math.floor((day + 719468) / 146097) * 400
local month = (year * 12 + 2) + march_month

-- The period goes on, begins, or a jump of the clock into later ones is undone (spending.py says it in Python).
local function roll(period, number)
  local stored = redis.call('HMGET', SPENT, period, period .. '.before')
  local current = tonumber(stored[1])
  if not current then
    return number
  end
  if current == number or current == number + 1 then
    return current
  end
  local spent, old = period .. '.spent', period .. '.before.spent'
  if number > current then
    redis.call('HSET', SPENT, period .. '.before', current, old, redis.call('HGET', SPENT, spent) or '0', spent, '0')
  else
    if stored[2] and tonumber(stored[2]) >= number then
      redis.call('HINCRBY', SPENT, spent, redis.call('HGET', SPENT, old))
    end
    redis.call('HDEL', SPENT, period .. '.before', old)
  end
  redis.call('HSET', SPENT, period, number)
  return number
end
local numbers = {day = roll('day', day), month = roll('month', month)}
local spent = redis.call('HMGET', SPENT, 'day.spent', 'month.spent', 'total.spent')
for place = 1, 3 do
  spent[place] = spent[place] or '0'
end

local function save()
  redis.call('HSET', RATE, 'seen', raw, 'clock', clock, 'requests', sum.requests, 'tokens', sum.tokens,
    'requests.last', last.requests, 'tokens.last', last.tokens)
  if epoch and not rate[3] then
    redis.call('HSET', RATE, 'epoch', epoch)
  end
  for _, key in ipairs({RATE, LEASES, HELD, LATE, DONE}) do
    redis.call('PEXPIRE', key, KEEP_MS)
  end
end

local function taken()
  return {sum.requests, reset('requests'), sum.tokens, reset('tokens'), running(), held,
    spent[1], spent[2], spent[3], numbers.day, numbers.month, raw}
end
