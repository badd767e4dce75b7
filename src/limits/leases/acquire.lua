-- Takes a lease, or takes it over where the session has one.
-- KEYS: the marker, all leases, the account's leases.
-- ARGV: the marker seen (0: none), pause, expiry in milliseconds, session, the account's cap, the
-- cap of all (-1: none).
-- Answers: 'granted', 'account' or 'total' for a cap that is reached, or 'paused', and for how many
-- milliseconds.
local _, open = marker(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]))
local expiry, session = tonumber(ARGV[3]), ARGV[4]
forget_expired(KEYS[2])
forget_expired(KEYS[3])
if not holds(KEYS[2], session) or not holds(KEYS[3], session) then
  if now < open then
    return { 'paused', open - now }
  elseif not has_room(KEYS[3], tonumber(ARGV[5])) then
    return { 'account', 0 }
  elseif not has_room(KEYS[2], tonumber(ARGV[6])) then
    return { 'total', 0 }
  end
end
hold(KEYS[2], session, expiry)
hold(KEYS[3], session, expiry)
return { 'granted', 0 }
