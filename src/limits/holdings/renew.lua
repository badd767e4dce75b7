-- Renews what a replica's sessions hold. What has expired is taken again where there is room; what
-- Redis forgot, or was never told of, is registered whatever the cap: its session runs.
-- KEYS: the marker, all that is held, then of each session what its account holds.
-- ARGV: the marker seen (0: none), pause, expiry in milliseconds, the cap of all (-1: none), then of
-- each its session, the account's cap and whether it must be registered (1).
-- Answers: the marker now, then the numbers of those who lost it, from 1.
local seen = tonumber(ARGV[1])
local id = marker(KEYS[1], seen, tonumber(ARGV[2]))
local expiry, total_cap = tonumber(ARGV[3]), tonumber(ARGV[4])
local emptied = seen ~= 0 and seen ~= id
local answer = { id }
forget_expired(KEYS[2])
for number = 1, #KEYS - 2 do
  local account = KEYS[number + 2]
  local session, cap, must = ARGV[number * 3 + 2], tonumber(ARGV[number * 3 + 3]), ARGV[number * 3 + 4]
  forget_expired(account)
  local held = holds(KEYS[2], session) and holds(account, session)
  local fits = has_room(account, cap) and has_room(KEYS[2], total_cap)
  if held or emptied or must == '1' or fits then
    hold(KEYS[2], session, expiry)
    hold(account, session, expiry)
  else
    table.insert(answer, number)
  end
end
return answer
