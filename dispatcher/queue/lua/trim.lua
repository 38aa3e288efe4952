-- trim: dead events past their retention, or more than the limit, go, oldest first, with their places in the indexes.
-- A payload comes along whenever an entry is read, so they are read one by one: what goes, and the first that stays.
-- ARGV: n, retention in ms, limit, payload bytes at which to stop. Reply: dropped by retention, dropped by the limit, ms until
-- another can be past its retention (0: more is to go now).
local n, retention, limit, stop = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local over = call('XLEN', dead) - limit
local old, many, bytes = 0, 0, 0
while old + many < n and bytes < stop do
  local e = call('XRANGE', dead, '-', '+', 'COUNT', '1')[1]
  if not e then return { old, many, int(retention + 1) } end
  local at, f = e[1], fields(e[2])
  local left = millis(at) + retention - now
  if left >= 0 and over <= 0 then return { old, many, int(left + 1) } end
  if left < 0 then old = old + 1 else many = many + 1 end
  over = over - 1
  bytes = bytes + #(f.payload or '')
  local byorg, byid = places(f.id or '', indexed(f.org_id), at)
  call('XDEL', dead, at)
  call('ZREM', deadorgs, byorg)
  call('ZREM', deadids, byid)
end
return { old, many, '0' }
