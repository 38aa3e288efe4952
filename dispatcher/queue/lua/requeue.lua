-- requeue: some of what the caller holds -> retry, due now, with no attempt counted. These are
-- events whose dequeue reply was lost, or that the caller will not begin.
-- Guard: leaving held.
-- ARGV: entries.
-- Reply: state, entries moved.
if not registered() then return { 'fenced' } end
local moved = 0
for i = 3, #ARGV do
  local seen = call('HGET', held, ARGV[i])
  if seen then
    call('HDEL', held, ARGV[i])
    schedule(ARGV[i], now, tonumber(seen) or now)
    moved = moved + 1
  end
end
return { 'ok', moved }
