-- books: reads the totals in one step; with 'accept', writes the difference off.
-- Guard: a growth of the difference is reported once, to one caller.
-- ARGV: 'accept' to write the difference off (published is lowered by it), 'count' to be told of
-- its growth, else nothing.
-- Reply: the eight totals of balance(), written off now, newly lost, parked, retrying, age of the
-- oldest entry in ms, dead letters, organizations with parked events.
local request = ARGV[3]
local b, oldest = balance()
local written_off, lost = 0, 0
local difference = tonumber(b[8])
if request == 'accept' and difference ~= 0 and initialized() then
  written_off = difference
  call('HINCRBY', books, 'base', int(-written_off))
  call('HINCRBY', books, 'written_off', int(written_off))
  b = balance()
  difference = 0
end
local seen = tonumber(call('HGET', books, 'lost_seen') or '0')
if request == 'count' and difference > seen then lost = difference - seen end
if initialized() and (lost > 0 or difference < seen) then
  call('HSET', books, 'lost_seen', int(difference))
end
if not oldest and b[7] ~= '0' then -- miniredis does not tell the first entry
  local first = call('XRANGE', events, '-', '+', 'COUNT', '1')[1]
  oldest = first and first[1]
end
local age = oldest and math.max(0, now - entry_ms(oldest)) or 0
return { b, int(written_off), int(lost), call('HGET', books, 'parked') or '0',
  int(call('ZCARD', retry)), int(age), int(call('XLEN', dead)), int(call('ZCARD', parked_orgs)) }
