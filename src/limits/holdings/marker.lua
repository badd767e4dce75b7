-- What the scripts of what is held have in common; it goes before each of them.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Since when it is kept without a gap: `id` is when the marker was made, `open` from when on
-- sessions are admitted. Who has seen an older marker (`seen`) knows that something was lost, and lets
-- their owners register first; in a fleet that has just begun nobody has, and nobody waits.
local function marker(key, seen, pause)
  local kept = redis.call('HMGET', key, 'id', 'open')
  local id, open = tonumber(kept[1]), tonumber(kept[2])
  local known = id and open
  if not known then
    id, open = now, now
  end
  local lost = seen ~= 0 and seen ~= id and open <= id
  if lost then
    open = now + pause
  end
  if lost or not known then
    redis.call('HSET', key, 'id', string.format('%.0f', id), 'open', string.format('%.0f', open))
  end
  return id, open
end

local function forget_expired(key)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
end

local function holds(key, session)
  return redis.call('ZSCORE', key, session)
end

local function has_room(key, cap)
  return cap < 0 or redis.call('ZCARD', key) < cap
end

local function hold(key, session, expiry)
  redis.call('ZADD', key, now + expiry, session)
  redis.call('PEXPIRE', key, expiry)
end
