-- Takes a slot, or takes it over where the session has one; else a place among those who wait.
-- KEYS: the marker, all slots, the account's slots, who waits, what is known of them, who was served.
-- ARGV: the marker seen (0: none), pause, expiry in milliseconds, session, account, cap, the most who
-- may wait (0: it would not wait itself), for how long it counts if it does not ask again, since when
-- it waits (0: from now on).
-- Answers: 'granted' and 0 | 'waiting' and its place, from 1 | 'full' and 0; then since when it waits.
-- After a loss of all slots their owners register first, and everybody waits.
local SERVED = 60000 -- how long it is remembered who was served, in milliseconds
local _, open = marker(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]))
local expiry, session, account = tonumber(ARGV[3]), ARGV[4], ARGV[5]
local cap, bound, patience, since = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

local function leave(who)
  redis.call('ZREM', KEYS[4], who)
  redis.call('HDEL', KEYS[5], who)
end

local function grant()
  leave(session)
  hold(KEYS[2], session, expiry)
  hold(KEYS[3], session, expiry)
  return { 'granted', 0, since }
end

forget_expired(KEYS[2])
forget_expired(KEYS[3])
forget_expired(KEYS[4])
if holds(KEYS[2], session) and holds(KEYS[3], session) then
  return grant()
end

-- Who waits, by account.
local waits, lines, all = {}, {}, {}
local function line_up(who, whose, at)
  local waiter = { session = who, since = at }
  lines[whose] = lines[whose] or {}
  table.insert(lines[whose], waiter)
  table.insert(all, waiter)
end
for _, who in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
  waits[who] = true
end
local known = redis.call('HGETALL', KEYS[5])
if since == 0 then
  since = now
end
for number = 1, #known, 2 do
  local who = known[number]
  local at, whose = string.match(known[number + 1], '^(%d+) (.*)$')
  if not waits[who] then
    redis.call('HDEL', KEYS[5], who)
  elseif who == session then
    since = math.min(since, tonumber(at))
  else
    line_up(who, whose, tonumber(at))
  end
end
line_up(session, account, since)

-- The order of `line.rs`: as if everybody were served, always the account that holds the fewest
-- first. Keys of other accounts have the same tag.
for whose, line in pairs(lines) do
  table.sort(line, function(one, other)
    if one.since ~= other.since then
      return one.since < other.since
    end
    return one.session < other.session
  end)
  local held = redis.call('ZCOUNT', KEYS[2] .. ':' .. whose, string.format('(%.0f', now), '+inf')
  local served = tonumber(redis.call('ZSCORE', KEYS[6], whose)) or 0
  for place, waiter in ipairs(line) do
    waiter.place, waiter.level = place, held + place
    waiter.turn = math.max(served, line[1].since)
  end
end
table.sort(all, function(one, other)
  for _, by in ipairs({ 'level', 'place', 'turn', 'since' }) do
    if one[by] ~= other[by] then
      return one[by] < other[by]
    end
  end
  return one.session < other.session
end)
local position = 0
for number, waiter in ipairs(all) do
  if waiter.session == session then
    position = number
  end
end

if now >= open and position <= cap - redis.call('ZCARD', KEYS[2]) then
  redis.call('ZADD', KEYS[6], now, account)
  redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now - SERVED)
  redis.call('PEXPIRE', KEYS[6], SERVED)
  return grant()
elseif bound == 0 then
  return { 'full', 0, since }
elseif not waits[session] and #all > bound then
  -- Whoever fills the line makes room for those who wait with less.
  local longest = lines[account]
  for _, line in pairs(lines) do
    if #line > #longest then
      longest = line
    end
  end
  if longest == lines[account] then
    return { 'full', 0, since }
  end
  leave(longest[#longest].session)
end
hold(KEYS[4], session, patience)
redis.call('HSET', KEYS[5], session, string.format('%.0f %s', since, account))
redis.call('PEXPIRE', KEYS[5], patience)
return { 'waiting', position, since }
