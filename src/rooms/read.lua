-- Reads what follows a position, or says why that cannot be done without a hole.
-- KEYS: the history, the numbers, the meta, who speaks.
-- ARGV: epoch, offset (0, 0: the room's beginning; -1: the end, of which the last finals are read),
-- session and n of the final at that position (empty, 0: not known), the most finals.
-- Answers: 'empty' | 'recovered' | 'found' (the first is the final at that position) | 'begun' (the
-- first is the one after it) | 'end' | 'waiting' (what is there ends before the position, and its
-- session has more to add) | 'epoch_gone' or 'trimmed', and then the last finals that were not seen;
-- then whose the room is, sealed (empty: nobody's), and how many speak (of an end only); then of each
-- final its id, session, n, body, account and seal: who asks looks whether a replica wrote it.
local history, numbers = KEYS[1], KEYS[2]
local epoch, offset = tonumber(ARGV[1]), tonumber(ARGV[2])
local session, n, limit = ARGV[3], tonumber(ARGV[4]), ARGV[5]
local owner = redis.call('HGET', KEYS[3], 'owner') or ''

local function parts(id)
  local e, o = string.match(id, '(%d+)-(%d+)')
  return tonumber(e), tonumber(o)
end

local function answer(status, entries, reversed)
  local out = { status, owner, '0' }
  if epoch < 0 then
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    out[3] = tostring(redis.call('ZCOUNT', KEYS[4], now, '+inf'))
  end
  for at = 1, #entries do
    local entry = entries[reversed and #entries + 1 - at or at]
    out[#out + 1] = entry[1]
    for field = 2, 10, 2 do
      out[#out + 1] = entry[2][field] or ''
    end
  end
  return out
end

local function number(entry)
  return tonumber(entry[2][4] or '') or 0
end

local function after(from)
  return answer('recovered', redis.call('XRANGE', history, from, '+', 'COUNT', limit))
end

local function rest(status, from)
  return answer(status, redis.call('XREVRANGE', history, '+', from, 'COUNT', limit), true)
end

-- The newest entry that `is` says yes to, and nothing if there is none among the newest 1000: Redis
-- does nothing else meanwhile, and whoever is that far behind begins afresh.
local function find(is)
  local from = '+'
  for _ = 1, 5 do
    local page = redis.call('XREVRANGE', history, from, '-', 'COUNT', 200)
    if #page == 0 then
      return nil
    end
    for _, entry in ipairs(page) do
      if is(entry) then
        return entry
      end
    end
    from = '(' .. page[#page][1]
  end
  return nil
end

local last = redis.call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
if not last then
  return answer('empty', {})
elseif epoch < 0 then
  return rest('end', '-')
end
local first = redis.call('XRANGE', history, '-', '+', 'COUNT', 1)[1]
local first_epoch, first_offset = parts(first[1])
local _, last_offset = parts(last[1])
if epoch == 0 then
  return first_offset == 1 and after('-') or rest('trimmed', '-')
end

if epoch == first_epoch and offset <= last_offset then
  local id = ARGV[1] .. '-' .. ARGV[2]
  local entry = redis.call('XRANGE', history, id, id)[1]
  local same = not entry or session == '' or (entry[2][2] == session and number(entry) == n)
  if same and offset + 1 >= first_offset then
    return after('(' .. id)
  elseif same then
    return rest('trimmed', '-')
  end
end

-- Another epoch, or other finals under the same ids: what was seen last is looked for by name.
local known = session ~= '' and tonumber(redis.call('HGET', numbers, session) or 0) or 0
if known == 0 then
  return rest('epoch_gone', '-')
end
local seen = known >= n and find(function(entry)
  return entry[2][2] == session and number(entry) == n
end)
if seen then
  return answer('found', redis.call('XRANGE', history, seen[1], '+', 'COUNT', limit + 1))
elseif first_offset == 2 and first[2][2] == session and number(first) == n + 1 then
  -- An owner that knew nothing of what was before began here, right after what was seen.
  return answer('begun', redis.call('XRANGE', history, '-', '+', 'COUNT', limit))
elseif last[2][2] == session and known < n then
  return answer('waiting', {})
end
-- Everything up to n of that session was seen; what follows its last such final was not.
local before = find(function(entry)
  return entry[2][2] == session and number(entry) <= n
end)
return rest('epoch_gone', before and '(' .. before[1] or '-')
