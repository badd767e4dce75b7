-- Gives leases back.
-- KEYS: all leases, then of each lease its account's leases. ARGV: of each lease its session.
for number, session in ipairs(ARGV) do
  redis.call('ZREM', KEYS[1], session)
  redis.call('ZREM', KEYS[number + 1], session)
end
return 0
