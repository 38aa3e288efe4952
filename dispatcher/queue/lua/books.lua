-- books: the totals as they stand, in one step. A difference that has grown since anybody looked is reported once, to this caller.
-- ARGV: 'accept' to write the difference off (published is lowered by it), 'count' to be told of its growth, else nothing.
-- Reply: the eight totals of balance(), written off now, newly lost, parked, retrying, ms age of the oldest, dead events, parked orgs.
local wish = ARGV[3]
local b, oldest = balance()
local off, lost = 0, 0
local difference = tonumber(b[8])
if wish == 'accept' and difference ~= 0 and marked() then
  off = difference
  call('HINCRBY', books, 'base', int(-off))
  call('HINCRBY', books, 'written_off', int(off))
  b = balance()
  difference = 0
end
local seen = tonumber(call('HGET', books, 'lost_seen') or '0')
if wish == 'count' and difference > seen then lost = difference - seen end
if marked() and (lost > 0 or difference < seen) then call('HSET', books, 'lost_seen', int(difference)) end
if not oldest and b[7] ~= '0' then -- miniredis, which does not tell
  local first = call('XRANGE', events, '-', '+', 'COUNT', '1')[1]
  oldest = first and first[1]
end
local age = oldest and math.max(0, now - millis(oldest)) or 0
return { b, int(off), int(lost), call('HGET', books, 'parked') or '0', int(call('ZCARD', retry)), int(age), int(call('XLEN', dead)),
  int(call('ZCARD', parked)) }
