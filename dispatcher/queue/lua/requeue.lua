-- give: some of what I hold -> due now, nothing charged: what an answer lost on the way to me took along, or what I will not begin.
-- Guarded by leaving held. ARGV: entries. Reply: state, entries moved.
if not registered() then return { 'gone' } end
local moved = 0
for i = 3, #ARGV do
  local seen = call('HGET', held, ARGV[i])
  if seen then
    call('HDEL', held, ARGV[i])
    later(ARGV[i], now, tonumber(seen) or now)
    moved = moved + 1
  end
end
return { 'ok', moved }
