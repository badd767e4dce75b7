-- Notes one more share token of an account, unless it has as many as it may.
-- KEYS: the account's tokens, by when each ends.
-- ARGV: the token's id, its life in milliseconds, the most tokens.
-- Answers 1 if it is noted, else 0.
local tokens, life = KEYS[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', tokens, '-inf', now)
if redis.call('ZCARD', tokens) >= tonumber(ARGV[3]) then
  return 0
end
redis.call('ZADD', tokens, now + life, ARGV[1])
if redis.call('PTTL', tokens) < life then
  redis.call('PEXPIRE', tokens, life)
end
return 1
