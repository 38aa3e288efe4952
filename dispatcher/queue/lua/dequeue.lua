-- dequeue: unread -> held by the caller; or parked, where others of the organization are parked; or
-- finished at once (duplicate, ill-formed).
-- Guard: the group's position passes an entry only in the step that puts the entry in a place. The
-- group is read with NOACK, so its pending list has foreign entries only. Entries up to the cursor
-- were read before the group was created again; they count only if they are in no place.
-- The reply never has more than `budget` bytes of payload: one more chunk is read only where it
-- fits even if every payload is `max` bytes long.
-- Redis reads the payload of every event, whatever becomes of it, so `stop` bounds all that is
-- read.
-- A chunk is at most as long as the rest of `stop` allows if every payload is as large as the
-- largest of the chunk before; the first chunk assumes `max`.
-- ARGV: n, budget, max payload, payload bytes at which to stop.
-- Reply: state, events, organizations with newly parked events, finished {outcome, event}, cursor,
-- '1' at the end of the stream.
local n, budget = tonumber(ARGV[3]), tonumber(ARGV[4])
local max, stop = tonumber(ARGV[5]), tonumber(ARGV[6])
if not registered() then return { 'fenced' } end
if not initialized() then return { 'not_initialized' } end
local b = call('HMGET', books, 'base', 'cursor')
if not b[1] then observe_stream() end
local cursor = b[2] or '0-0'
local first = cursor
local out, to_park, to_hold, org_is_parked, rejected = {}, {}, {}, {}, {}
local at_end, bytes, last, passed, largest = '0', 0, nil, 0, max
local function read_group(count)
  return redis.pcall('XREADGROUP', 'GROUP', GROUP, me, 'COUNT', int(count), 'NOACK',
    'STREAMS', events, '>')
end
while n > 0 and passed < stop do
  local k = math.min(n, 32, math.floor((budget - bytes) / max),
    math.max(1, math.floor((stop - passed) / largest)))
  if k < 1 then break end
  local r = read_group(k)
  if r and r.err then
    if not string.find(r.err, 'NOGROUP') then return redis.error_reply(r.err) end
    local created = create_group()
    if created.err and not string.find(created.err, 'BUSYGROUP') then
      return redis.error_reply(created.err)
    end
    observe_stream()
    r = read_group(k)
    if r and r.err then return redis.error_reply(r.err) end
  end
  local list = r and r[1] and r[1][2] or {}
  largest = 1
  for _, e in ipairs(list) do
    local entry, flat = e[1], e[2]
    last = entry
    local old = not_after(entry, first)
    if flat then
      local f = to_table(flat)
      local size = #(f.payload or '')
      passed, largest = passed + size, math.max(largest, size)
      if not (old and tracked(entry, f.org_id)) then
        local admitted, outcome = admit(entry, f)
        local org = f.org_id
        if admitted and org_is_parked[org] == nil then
          org_is_parked[org] = call('ZSCORE', parked_orgs, org) and true or false
        end
        if not admitted then
          rejected[#rejected + 1] = { outcome, f.event or '' }
        elseif org_is_parked[org] then
          local into = to_park[org] or {}
          to_park[org] = into
          into[#into + 1] = now_text
          into[#into + 1] = entry
        else
          to_hold[#to_hold + 1] = entry
          to_hold[#to_hold + 1] = now_text
          local v = describe(entry, f, now_text, max, not old)
          bytes = bytes + #v[5]
          out[#out + 1] = v
        end
      end
    end
    if not old then cursor = entry end
  end
  n = n - #list
  if #list < k then at_end = '1' break end
end
if cursor ~= first then call('HSET', books, 'cursor', cursor) end
hold(to_hold)
return { 'ok', out, park_all(to_park), rejected, last or cursor, at_end }
