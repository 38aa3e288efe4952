-- trim: dead letter -> gone, with its members of the indexes: those past their retention or beyond
-- the limit, oldest first.
-- Redis reads the payload with an entry, so entries are read one by one: those that go, and the
-- first that stays.
-- Guard: only the oldest dead letter may go.
-- ARGV: n, retention in ms, limit, payload bytes at which to stop.
-- Reply: dropped by retention, dropped by the limit, ms until another can be past its retention (0:
-- more is to go now).
local n, retention = tonumber(ARGV[3]), tonumber(ARGV[4])
local limit, stop = tonumber(ARGV[5]), tonumber(ARGV[6])
local over = call('XLEN', dead) - limit
local expired, over_limit, bytes = 0, 0, 0
while expired + over_limit < n and bytes < stop do
  local e = call('XRANGE', dead, '-', '+', 'COUNT', '1')[1]
  if not e then return { expired, over_limit, int(retention + 1) } end
  local dead_entry, f = e[1], to_table(e[2])
  local left = entry_ms(dead_entry) + retention - now
  if left >= 0 and over <= 0 then return { expired, over_limit, int(left + 1) } end
  if left < 0 then expired = expired + 1 else over_limit = over_limit + 1 end
  over = over - 1
  bytes = bytes + #(f.payload or '')
  local by_org, by_id = index_keys(f.id or '', index_org(f.org_id), dead_entry)
  call('XDEL', dead, dead_entry)
  call('ZREM', dead_by_org, by_org)
  call('ZREM', dead_by_id, by_id)
end
return { expired, over_limit, '0' }
