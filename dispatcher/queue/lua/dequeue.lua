-- take: unread -> held by me, or parked, or finished at once (duplicate, ill-formed).
-- Invariant: an entry is read past only in the step that puts it somewhere. It is read with NOACK, so the group's pending list stays
-- empty but for strangers; entries up to the cursor were read before (the group was made anew), and count only if they stand nowhere.
-- The reply never holds more than `budget` bytes of payload: one more chunk is read only where it fits even if every payload is `max`.
-- Whatever becomes of an event, its payload is read, so `stop` counts all: a chunk is no longer than what it leaves room for if every
-- payload is as large as the largest of the chunk before; for the first, as `max`.
-- ARGV: n, budget, max payload, payload bytes at which to stop. Reply: state, events, orgs parked into, finished {outcome, event}, cursor, end?
local n, budget, max, stop = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if not registered() then return { 'gone' } end
if not marked() then return { 'unmarked' } end
local b = call('HMGET', books, 'base', 'cursor')
if not b[1] then look() end
local cursor = b[2] or '0-0'
local first = cursor
local out, into, keep, waits, done, atend, bytes = {}, {}, {}, {}, {}, '0', 0
local last, passed, largest = nil, 0, max
while n > 0 and passed < stop do
  local k = math.min(n, 32, math.floor((budget - bytes) / max), math.max(1, math.floor((stop - passed) / largest)))
  if k < 1 then break end
  local r = redis.pcall('XREADGROUP', 'GROUP', group, me, 'COUNT', int(k), 'NOACK', 'STREAMS', events, '>')
  if r and r.err then
    if not string.find(r.err, 'NOGROUP') then return redis.error_reply(r.err) end
    local made = makegroup()
    if made.err and not string.find(made.err, 'BUSYGROUP') then return redis.error_reply(made.err) end
    look()
    r = redis.pcall('XREADGROUP', 'GROUP', group, me, 'COUNT', int(k), 'NOACK', 'STREAMS', events, '>')
    if r and r.err then return redis.error_reply(r.err) end
  end
  local list = r and r[1] and r[1][2] or {}
  largest = 1
  for _, e in ipairs(list) do
    local entry, flat = e[1], e[2]
    last = entry
    local old = upto(entry, first)
    if flat then
      local f = fields(flat)
      local size = #(f.payload or '')
      passed, largest = passed + size, math.max(largest, size)
      if not (old and known(entry, f.org_id)) then
        local go, outcome = judge(entry, f)
        local org = f.org_id
        if go and waits[org] == nil then waits[org] = call('ZSCORE', parked, org) and true or false end
        if not go then
          done[#done + 1] = { outcome, f.event or '' }
        elseif waits[org] then
          local list = into[org] or {}
          into[org] = list
          list[#list + 1] = nows
          list[#list + 1] = entry
        else
          keep[#keep + 1] = entry
          keep[#keep + 1] = nows
          local v = view(entry, f, nows, max, not old)
          bytes = bytes + #v[5]
          out[#out + 1] = v
        end
      end
    end
    if not old then cursor = entry end
  end
  n = n - #list
  if #list < k then atend = '1' break end
end
if cursor ~= first then call('HSET', books, 'cursor', cursor) end
hold(keep)
return { 'ok', out, parkall(into), done, last or cursor, atend }
