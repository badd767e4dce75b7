-- Adds finals of one session to a room, in order and each once, if the fence is not of the past.
-- KEYS: the history, the meta, the numbers, the session, who speaks.
-- ARGV: fence; names of the account, each sealed; the account, sealed as an owner; the epoch and offset
-- that the owner remembers (0, 0: none); whether a hole before the first final cannot be filled (1);
-- session; the most finals, the most bytes, the life in milliseconds; the channel; the mark that goes with
-- the last of them (empty: none), its n and milliseconds; the number up to which owners before count
-- (empty: all); how long the session counts as speaking, in milliseconds, 0 if it has ended; an owner that
-- is none, since no replica wrote it (empty: not seen yet); the account; then of each final its n, its body
-- and its seal.
-- Answers, with the owner as second word, at whom who asks looks: 'fenced', whether the owner since then has
-- told anything here (1) | 'foreign' | 'missing', n of the last final that is there | 'stored' or 'known',
-- epoch, offset of the room's end, how many were added, whether an epoch began.
-- Nothing here looks through the history, however much others say there, but where an epoch begins.
local history, meta, numbers = KEYS[1], KEYS[2], KEYS[3]
local fence, session, account = tonumber(ARGV[1]), ARGV[7], ARGV[18]
local told_epoch, told_offset = tonumber(ARGV[4]), tonumber(ARGV[5])
local FIRST = 19

local function text(number)
  return string.format('%.0f', number)
end

local function parts(id)
  local epoch, offset = string.match(id, '(%d+)-(%d+)')
  return tonumber(epoch), tonumber(offset)
end

-- A stranger's entry may lack anything.
local function number(entry)
  return tonumber(entry[2][4] or '') or 0
end

local function size(entry)
  return #(entry[2][6] or '')
end

local held = redis.call('HMGET', meta, 'owner', 'bytes')
local owner, forged = held[1], held[1] == ARGV[17]
local owned = redis.call('HMGET', KEYS[4], 'fence', 'said', 'mark_fence', 'mark_n', 'mark_ms')
if owner and not same(owner, ARGV[2]) then
  if not forged then
    return { 'foreign', owner }
  end
  owner = false
end
if fence < tonumber(owned[1] or 0) then
  return { 'fenced', ARGV[3], tonumber(owned[2] or 0) > fence and '1' or '0' }
elseif not owner then
  -- What is left of an owner who was forgotten is nobody else's to see.
  redis.call('DEL', history, numbers)
end
local whose = owner and not forged and #owner > #ARGV[3] and owner or ARGV[3]
redis.call('HSET', meta, 'owner', whose)

local last = redis.call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
local epoch, offset = 0, 0
if last then
  epoch, offset = parts(last[1])
end
local known = last and tonumber(redis.call('HGET', numbers, session) or 0) or 0
-- What an owner of the past said here while this one took over elsewhere is void.
local base = tonumber(ARGV[15])
local void = base and known > base and tonumber(owned[2] or fence) < fence
if void then
  known = base
end
local first_n = tonumber(ARGV[FIRST])
local hole = first_n > known + 1
if hole and ARGV[6] ~= '1' then
  return { 'missing', whose, text(known) }
end

local bytes = last and tonumber(held[2] or 0) or 0
local behind = epoch < told_epoch or (epoch == told_epoch and offset < told_offset)
local began = not last or behind or hole or void
if began then
  -- What is left of a history that lost its end goes over; what would have a hole does not.
  local there = last and not hole and redis.call('XRANGE', history, '-', '+') or {}
  local kept = {}
  for _, entry in ipairs(there) do
    if void and entry[2][2] == session and number(entry) > base then
      bytes = bytes - size(entry)
    else
      kept[#kept + 1] = entry
    end
  end
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  epoch = math.max(now, epoch + 1, told_epoch + 1)
  -- An epoch that does not begin with the room's first final says so by beginning at 2.
  local whole = not hole and (not kept[1] or select(2, parts(kept[1][1])) == 1)
  offset = whole and 0 or 1
  redis.call('DEL', history)
  -- Where others speak too they go on after what they said: it went over, or is told as a hole once.
  if not last then
    redis.call('DEL', numbers)
  end
  bytes = #kept == 0 and 0 or bytes
  for _, entry in ipairs(kept) do
    offset = offset + 1
    redis.call('XADD', history, text(epoch) .. '-' .. text(offset), unpack(entry[2]))
  end
end

local added = 0
for at = FIRST, #ARGV, 3 do
  local n, body = tonumber(ARGV[at]), ARGV[at + 1]
  if n > known then
    offset, known, added = offset + 1, n, added + 1
    bytes = bytes + #body
    local id = text(epoch) .. '-' .. text(offset)
    redis.call('XADD', history, id, 's', session, 'n', ARGV[at], 'f', body, 'a', account, 'm', ARGV[at + 2])
  end
end

local length = redis.call('XLEN', history)
while length > 1 and (length > tonumber(ARGV[8]) or bytes > tonumber(ARGV[9])) do
  local oldest = redis.call('XRANGE', history, '-', '+', 'COUNT', 1)[1]
  redis.call('XDEL', history, oldest[1])
  length, bytes = length - 1, bytes - size(oldest)
end
redis.call('HSET', meta, 'bytes', text(bytes))
-- Sessions before this one can add nothing without a new claim; a thousand are enough to remember.
if redis.call('HLEN', numbers) > 1000 then
  redis.call('DEL', numbers)
end
redis.call('HSET', numbers, session, text(known))
redis.call('HSET', KEYS[4], 'fence', ARGV[1], 'said', ARGV[1])
-- A mark never goes back.
local mark = { fence, tonumber(ARGV[13]), tonumber(ARGV[14]) }
local goes_on = ARGV[12] ~= ''
for at = 1, 3 do
  local before = tonumber(owned[at + 2] or 0)
  if mark[at] ~= before then
    goes_on = goes_on and mark[at] > before
    break
  end
end
if goes_on then
  redis.call('HSET', KEYS[4], 'mark', ARGV[12], 'mark_fence', ARGV[1], 'mark_n', ARGV[13], 'mark_ms', ARGV[14])
end
for at = 1, 4 do
  redis.call('PEXPIRE', KEYS[at], ARGV[10])
end
if ARGV[16] == '0' then
  redis.call('ZREM', KEYS[5], session)
else
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[5], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[16], session)
  redis.call('PEXPIRE', KEYS[5], ARGV[16])
end
if added > 0 then
  redis.call('PUBLISH', ARGV[11], 'F ' .. ARGV[1] .. ' ' .. text(epoch) .. '-' .. text(offset))
  return { 'stored', whose, text(epoch), text(offset), text(added), began and '1' or '0' }
end
return { 'known', whose, text(epoch), text(offset), '0', '0' }
