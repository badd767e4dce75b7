-- Makes a room an account's, if it is nobody else's, and gives out the next fence of a session in it.
-- KEYS: the meta, the session, the history, the numbers, who speaks. ARGV: names of the account, each
-- sealed; the account, sealed as an owner; the life in milliseconds; a fence that is known from elsewhere;
-- the session; how long it counts as speaking, in milliseconds; the channel; an owner that is none, since
-- no replica wrote it (empty: not seen yet); the greatest fence that the session may have (empty: any).
-- Answers: 'foreign', the owner | 'overtaken', the owner | 'claimed', the owner, the fence, the mark that the owner before left
-- (empty: none). Who asks looks at the owner.
local owner = redis.call('HGET', KEYS[1], 'owner')
local forged = owner == ARGV[8]
if owner and not same(owner, ARGV[1]) then
  if not forged then
    return { 'foreign', owner }
  end
  owner = false
end
local held = redis.call('HMGET', KEYS[2], 'fence', 'mark')
if tonumber(held[1] or 0) > (tonumber(ARGV[9]) or math.huge) then
  return { 'overtaken', owner or ARGV[2] }
end
if not owner then
  -- What is left of an owner who was forgotten is nobody else's to see.
  redis.call('DEL', KEYS[3], KEYS[4])
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = math.max(tonumber(held[1] or 0), tonumber(ARGV[4]))
local fence = string.format('%.0f', math.max(now, last + 1))
-- Who is known by more names stays so.
local whose = owner and not forged and #owner > #ARGV[2] and owner or ARGV[2]
redis.call('HSET', KEYS[1], 'owner', whose)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], 'fence', fence)
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('ZADD', KEYS[5], now + ARGV[6], ARGV[5])
redis.call('PEXPIRE', KEYS[5], ARGV[6])
if not owner then
  redis.call('PUBLISH', ARGV[7], 'C ' .. fence)
end
return { 'claimed', whose, fence, held[2] or '' }
