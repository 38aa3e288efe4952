-- lib: the head of every script. It names the keys and holds the steps that several scripts share.
-- One Lua chunk, hence plain locals. Plain Lua 5.1 without shebang, cmsgpack or struct, so that
-- miniredis runs it too. Batches stay under 1,000 items: unpack has a limit.
-- Before this file, scripts.go declares what config/store/names.go spells: the name of the GROUP,
-- and the prefixes of the keys that depend on a field: HELD, LEASE, PARKED, PROGRESS, MARK.
-- KEYS: events, books, processes, retry, parked organizations, dead letters, dead letters by
-- organization, dead letters by id; then the schema marker, except in a Cluster, where it lies in
-- another slot.
-- ARGV: the prefix of the slot, the calling process (or ''), then the script's own arguments, from
-- ARGV[3] on.
local events, books, processes, retry, parked_orgs = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local dead, dead_by_org, dead_by_id, schema = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local slot, me = ARGV[1], ARGV[2]
local call = redis.call
-- In ms. Private keys of an unfinished event that nobody touched for this long are garbage.
local MONTH = 30 * 24 * 3600 * 1000
-- For this long the id of a delivered event stays taken.
local DAY_TEXT = '86400000'

-- A first write that frees memory: the writes after it then succeed although maxmemory is reached
-- (specification.md, section 4, "Full Redis").
call('HDEL', books, '_')

-- int formats a number as an integer; tostring would write large ones in exponential form.
local function int(n) return string.format('%.0f', n) end
local function clock()
  local t = call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local now = clock() -- Unix ms
local now_text, month_text = int(now), int(MONTH)

local function held_key(process) return slot .. HELD .. process end
local function lease_key(process) return slot .. LEASE .. process end
local function parked_key(org) return slot .. PARKED .. org end
local function progress_key(entry) return slot .. PROGRESS .. entry end
local function mark_key(org, id) return slot .. MARK .. org .. '/' .. id end
local held = held_key(me)

-- registered says whether the calling process may hold work. A negative score means that another
-- process is taking its work over.
local function registered()
  local score = call('ZSCORE', processes, me)
  return score and tonumber(score) >= 0
end

local function initialized() return not schema or call('GET', schema) == '1' end

-- to_table turns a flat list of fields and values into a table.
local function to_table(flat)
  local t = {}
  for i = 1, #flat, 2 do t[flat[i]] = flat[i + 1] end
  return t
end

-- read_entry returns the fields of a stream entry, or nil where the stream no longer has it.
local function read_entry(entry)
  local r = redis.pcall('XRANGE', events, entry, entry)
  if r.err or not r[1] then return nil end
  return to_table(r[1][2])
end

-- first_seen returns when an entry was first seen (Unix ms), as a text that is a number.
local function first_seen(entry)
  local seen = call('HGET', progress_key(entry), 'seen')
  return seen and tonumber(seen) and seen or now_text
end

-- not_after says whether a <= b, both stream ids.
local function not_after(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  if not a_ms or not b_ms then return false end
  if #a_ms ~= #b_ms then return #a_ms < #b_ms end
  if a_ms ~= b_ms then return a_ms < b_ms end
  if #a_seq ~= #b_seq then return #a_seq < #b_seq end
  return a_seq <= b_seq
end

local function valid_id(s)
  return s and #s >= 1 and #s <= 128 and not string.find(s, '[^A-Za-z0-9._:-]')
end
-- valid_name checks an event's name: printable, so that it can be shown, logged and matched.
local function valid_name(s) return s and #s >= 1 and #s <= 128 and not string.find(s, '%c') end
local function has_explicit_id(f) return valid_id(f.id) end

-- index_keys returns a dead letter's members of the two indexes: by organization and by id.
-- Within one organization, lexicographic order is the order of the stream.
local function index_keys(id, org, entry)
  local ms, seq = string.match(entry, '^(%d+)-(%d+)$')
  local padded = string.rep('0', 13 - #ms) .. ms .. '-' .. string.rep('0', 20 - #seq) .. seq
  return org .. '/' .. padded, id .. '/' .. org .. '/' .. entry
end

-- index_org returns the organization under which a dead letter is indexed: '' where the field is
-- ill-formed. No list of an organization shows such a one.
local function index_org(org) if valid_id(org) then return org end return '' end

-- cleanup deletes all private traces of an entry except the entry itself. With `delivered`, its id
-- stays taken for 24 h.
local function cleanup(entry, f, delivered)
  call('DEL', progress_key(entry))
  if f and has_explicit_id(f) and valid_id(f.org_id) then
    local m = mark_key(f.org_id, f.id)
    if call('GET', m) == entry then
      if delivered then call('SET', m, 'done', 'PX', DAY_TEXT) else call('DEL', m) end
    end
  end
end

-- dead_letter moves an entry that the stream still has to the dead letters. The caller has removed
-- it from held, retry or parked.
local function dead_letter(entry, f, reason, attempts, status, why, first_seen, published)
  local id = f.id
  if reason == 'invalid_event' or not has_explicit_id(f) then id = entry end
  local out = {}
  local function put(k, v) if v and v ~= '' then out[#out + 1] = k out[#out + 1] = v end end
  put('event', f.event) put('org_id', f.org_id) put('payload', f.payload)
  put('id', id) put('published_at', published) put('reason', reason)
  out[#out + 1] = 'attempts' out[#out + 1] = attempts
  put('last_status', status) put('last_error', why) put('first_seen_at', first_seen)
  local dead_entry = call('XADD', dead, '*', unpack(out))
  local by_org, by_id = index_keys(id, index_org(f.org_id), dead_entry)
  call('ZADD', dead_by_org, '0', by_org)
  call('ZADD', dead_by_id, '0', by_id)
  cleanup(entry, f, false)
  call('XDEL', events, entry)
  call('HINCRBY', books, 'dead', '1')
end

-- rfc3339 formats Unix ms in UTC (Howard Hinnant's civil_from_days).
local function rfc3339(ms)
  local s = math.floor(ms / 1000)
  local days, sec = math.floor(s / 86400), s % 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor(
    (doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local d = doy - math.floor((153 * mp + 2) / 5) + 1
  local m = mp < 10 and mp + 3 or mp - 9
  local y = yoe + era * 400 + (m <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', y, m, d, math.floor(sec / 3600),
    math.floor(sec % 3600 / 60), sec % 60, ms % 1000)
end

-- entry_ms returns the time in a stream id, in Unix ms.
local function entry_ms(entry) return tonumber(string.match(entry, '^(%d+)')) or 0 end

-- replayed_at returns the time of publication that a replayed event carries, or nil. A longer text
-- is not one of ours, and no budget would count it.
local function replayed_at(f)
  if f.replay and f.published_at and #f.published_at <= 64 then return f.published_at end
end

-- published_at returns when an event was published: the time that it carries, or that in its stream
-- id.
local function published_at(entry, f)
  local at = replayed_at(f)
  if at then return at end
  return rfc3339(entry_ms(entry))
end

-- admit decides about an entry that is read for the first time. It returns true where the entry is
-- to be delivered. Otherwise the entry has been finished here, and the second result is the
-- outcome.
-- Deduplication: a mark names the entry that has the id, so a mark whose entry has left the stream
-- does not bind.
local function admit(entry, f)
  local valid_fields = valid_name(f.event) and valid_id(f.org_id) and f.payload
  if not valid_fields or f.id and not valid_id(f.id) then
    dead_letter(entry, f, 'invalid_event', '0', '', 'a stream field is missing or ill-formed',
      rfc3339(now), published_at(entry, f))
    return false, 'dead'
  end
  if f.id then
    local m = mark_key(f.org_id, f.id)
    if not call('SET', m, entry, 'PX', month_text, 'NX') then
      local owner = call('GET', m)
      local taken = owner ~= entry and (owner == 'done' or read_entry(owner))
      if not taken then
        call('SET', m, entry, 'PX', month_text)
      elseif not f.replay then
        call('XDEL', events, entry)
        call('HINCRBY', books, 'duplicate', '1')
        return false, 'duplicate'
      end
    end
  end
  return true
end

-- tracked says whether an entry is in one of the places of unfinished ones: held, retry or parked.
local function tracked(entry, org)
  if call('ZSCORE', retry, entry) then return true end
  if org and call('ZSCORE', parked_key(org), entry) then return true end
  for _, p in ipairs(call('ZRANGE', processes, '0', '-1')) do
    if call('HEXISTS', held_key(p), entry) == 1 then return true end
  end
  return false
end

-- park adds entries, which the caller has removed from held or retry, to the parked ones of their
-- organization, in the order in which they were first seen. list: score, entry, score, entry …
local function park(org, list)
  local added = 0
  for i = 1, #list, 1000 do
    added = added + call('ZADD', parked_key(org), unpack(list, i, math.min(#list, i + 999)))
  end
  if added > 0 then call('HINCRBY', books, 'parked', int(added)) end
  call('ZADD', parked_orgs, 'NX', now_text, org)
end

-- park_all parks what was collected by organization, and returns the organizations.
local function park_all(lists)
  local orgs = {}
  for org, list in pairs(lists) do
    park(org, list)
    orgs[#orgs + 1] = org
  end
  return orgs
end

-- hold adds collected pairs (entry, when first seen) to those held by the calling process.
local function hold(pairs) if #pairs > 0 then call('HSET', held, unpack(pairs)) end end

-- schedule makes an entry due at a time (Unix ms) and keeps when it was first seen.
local function schedule(entry, due, first_seen)
  local p = progress_key(entry)
  call('HSETNX', p, 'seen', int(first_seen))
  call('PEXPIRE', p, int(MONTH + math.max(0, due - now)))
  call('ZADD', retry, int(due), entry)
end

-- describe returns what a process gets of an event: entry, event, organization, id, payload, when
-- first seen (Unix ms). Few events have more: the size of a payload that is left out because it is
-- above `max` (such an event is only ever skipped or a dead letter), when a replayed one was
-- published, attempts, last status and last error. Of a `fresh` event nothing is known beyond its
-- entry, so its progress is not read.
local function describe(entry, f, first_seen, max, fresh)
  local body, size = f.payload or '', ''
  if #body > max then
    size = int(#body)
    body = ''
  end
  local p = fresh and {} or to_table(call('HGETALL', progress_key(entry)))
  local v = { entry, f.event or '', f.org_id or '', f.id or '', body, p.seen or first_seen }
  local published = replayed_at(f) or ''
  if size ~= '' or published ~= '' or p.attempts then
    v[7], v[8] = size, published
    v[9], v[10], v[11] = p.attempts or '0', p.status or '', p.error or ''
  end
  return v
end

-- create_group makes the group read from the beginning of the stream: `tracked` recognizes what was
-- dequeued before.
local function create_group()
  return redis.pcall('XGROUP', 'CREATE', events, GROUP, '0', 'MKSTREAM')
end

-- delete_consumer removes a process from the group's consumers; each process that reads becomes
-- one. It has nothing pending, since dequeue reads with NOACK.
local function delete_consumer(process)
  redis.pcall('XGROUP', 'DELCONSUMER', events, GROUP, process)
end

-- stream_info returns XINFO STREAM as a table, or nil where there is no stream.
local function stream_info()
  local r = redis.pcall('XINFO', 'STREAM', events)
  if r.err then return nil end
  return to_table(r)
end

-- observe_stream reads the counters of the stream and keeps the books right when the stream was
-- deleted and made again: `base` is what was published before entries-added, the counter that Redis
-- keeps, began. The stream is another one
--   where fewer entries were added than before,
--   where the last deletion that Redis knows of is gone, or
--   where nothing was ever removed and yet another entry is the first.
-- It returns XLEN; entries-added, or nil where this Redis keeps none (miniredis); and the id of the
-- oldest entry, or nil. XINFO shows the first entry and the last, so this reads two payloads: once
-- in a script is enough.
local function observe_stream()
  local info = stream_info()
  local len = call('XLEN', events)
  local added, oldest = 0, nil
  if info then
    added = tonumber(info['entries-added'])
    oldest = info['first-entry'] and info['first-entry'][1]
  end
  if not added then
    if initialized() then call('HSETNX', books, 'base', '0') end
    return len, nil, oldest
  end
  if not initialized() then return len, added, oldest end -- the data may not be ours: write nothing
  local b = call('HMGET', books, 'base', 'seen_added', 'seen_deleted', 'seen_first')
  local deleted = info and info['max-deleted-entry-id'] or '0-0'
  if not b[1] then
    call('HSET', books, 'base', int(len - added))
  elseif added < tonumber(b[2] or '0') or (b[3] and b[3] ~= '0-0' and deleted == '0-0')
    or (b[4] and b[4] ~= '' and oldest and added == len and oldest ~= b[4]) then
    call('HINCRBY', books, 'base', b[2] or '0')
    if not oldest then call('HSET', books, 'seen_first', '') end
  end
  call('HSET', books, 'seen_added', int(added), 'seen_deleted', deleted)
  -- Where the stream is only empty, seen_first is kept.
  if oldest then call('HSET', books, 'seen_first', oldest) end
  return len, added, oldest
end

-- balance returns the books: published, replayed, delivered, skipped, dead, duplicate, waiting,
-- difference; and the id of the oldest entry, if known.
local function balance()
  local len, added, oldest = observe_stream()
  local b = call('HMGET', books, 'base', 'replayed', 'delivered', 'skipped', 'dead', 'duplicate')
  local n = {}
  for i = 1, 6 do n[i] = tonumber(b[i] or '0') or 0 end
  if not b[1] and added then n[1] = len - added end
  local finished = n[3] + n[4] + n[5] + n[6]
  local total = added and n[1] + added or finished + len
  return { int(total - n[2]), int(n[2]), int(n[3]), int(n[4]), int(n[5]), int(n[6]), int(len),
    int(total - finished - len) }, oldest
end
