-- Adds finals of one session to a room, in order and each once, if the fence is not of the past.
-- KEYS: the history, the meta, the numbers, the session, who speaks.
-- ARGV: fence; account, and the same sealed; the epoch and offset that the owner remembers (0, 0:
-- none); whether a hole before the first final cannot be filled (1); session; the most finals, the
-- most bytes, the life in milliseconds; the channel; the mark that goes with the last of them (empty:
-- none); how long the session counts as speaking, in milliseconds, 0 if it has ended; then of each final
-- its n and its body.
-- Answers: 'foreign' | 'fenced' | 'missing', n of the last final that is there
-- | 'stored' or 'known', epoch, offset of the last of them, how many were added, whether an epoch began.
local history, meta, numbers = KEYS[1], KEYS[2], KEYS[3]
local fence, account, session = tonumber(ARGV[1]), ARGV[2], ARGV[7]
local told_epoch, told_offset = tonumber(ARGV[4]), tonumber(ARGV[5])
local FIRST = 14

local function text(number)
  return string.format('%.0f', number)
end

local function parts(id)
  local epoch, offset = string.match(id, '(%d+)-(%d+)')
  return tonumber(epoch), tonumber(offset)
end

local held = redis.call('HMGET', meta, 'account', 'bytes')
if held[1] and held[1] ~= account then
  return { 'foreign' }
elseif fence < tonumber(redis.call('HGET', KEYS[4], 'fence') or 0) then
  return { 'fenced' }
elseif not held[1] then
  -- What is left of an owner who was forgotten is nobody else's to see.
  redis.call('DEL', history, numbers)
end
redis.call('HSET', meta, 'account', account, 'owner', ARGV[3])

local last = redis.call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
local epoch, offset = 0, 0
if last then
  epoch, offset = parts(last[1])
end
local known = last and tonumber(redis.call('HGET', numbers, session) or 0) or 0
local first_n = tonumber(ARGV[FIRST])
local hole = first_n > known + 1
if hole and ARGV[6] ~= '1' then
  return { 'missing', text(known) }
end

local bytes = last and tonumber(held[2] or 0) or 0
local behind = epoch < told_epoch or (epoch == told_epoch and offset < told_offset)
local began = not last or behind or hole
if began then
  -- What is left of a history that lost its end goes over; what would have a hole does not.
  local kept = last and not hole and redis.call('XRANGE', history, '-', '+') or {}
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  epoch = math.max(now, epoch + 1, told_epoch + 1)
  -- An epoch that does not begin with the room's first final says so by beginning at 2.
  local whole = not hole and (not kept[1] or select(2, parts(kept[1][1])) == 1)
  offset = whole and 0 or 1
  redis.call('DEL', history)
  if #kept == 0 then
    redis.call('DEL', numbers)
    bytes = 0
  end
  for _, entry in ipairs(kept) do
    offset = offset + 1
    redis.call('XADD', history, text(epoch) .. '-' .. text(offset), unpack(entry[2]))
  end
end

local added = 0
for at = FIRST, #ARGV, 2 do
  local n, body = tonumber(ARGV[at]), ARGV[at + 1]
  if n > known then
    offset, known, added = offset + 1, n, added + 1
    bytes = bytes + #body
    redis.call('XADD', history, text(epoch) .. '-' .. text(offset), 's', session, 'n', ARGV[at], 'f', body)
  end
end

local length = redis.call('XLEN', history)
while length > 1 and (length > tonumber(ARGV[8]) or bytes > tonumber(ARGV[9])) do
  local oldest = redis.call('XRANGE', history, '-', '+', 'COUNT', 1)[1]
  redis.call('XDEL', history, oldest[1])
  length, bytes = length - 1, bytes - #oldest[2][6]
end
redis.call('HSET', meta, 'bytes', text(bytes))
-- Sessions before this one can add nothing without a new claim; a thousand are enough to remember.
if redis.call('HLEN', numbers) > 1000 then
  redis.call('DEL', numbers)
end
redis.call('HSET', numbers, session, text(known))
redis.call('HSET', KEYS[4], 'fence', ARGV[1])
if ARGV[12] ~= '' then
  redis.call('HSET', KEYS[4], 'mark', ARGV[12])
end
for at = 1, 4 do
  redis.call('PEXPIRE', KEYS[at], ARGV[10])
end
if ARGV[13] == '0' then
  redis.call('ZREM', KEYS[5], session)
else
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[5], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[13], session)
  redis.call('PEXPIRE', KEYS[5], ARGV[13])
end
if added > 0 then
  redis.call('PUBLISH', ARGV[11], 'F ' .. ARGV[1] .. ' ' .. text(epoch) .. '-' .. text(offset))
  return { 'stored', text(epoch), text(offset), text(added), began and '1' or '0' }
end

-- A retry: where its last final stands, or the present end if that was trimmed.
local wanted = ARGV[#ARGV - 1]
local from = '+'
while true do
  local page = redis.call('XREVRANGE', history, from, '-', 'COUNT', 100)
  for _, entry in ipairs(page) do
    if entry[2][2] == session and entry[2][4] == wanted then
      epoch, offset = parts(entry[1])
      return { 'known', text(epoch), text(offset), '0', '0' }
    end
    from = '(' .. entry[1]
  end
  if #page == 0 then
    return { 'known', text(epoch), text(offset), '0', '0' }
  end
end
