-- What every script begins with: the names, and the steps that several scripts share. One Lua chunk, so plain locals.
-- KEYS: events, books, processes, retry, parked, dead, dead-orgs, dead-ids, and the schema marker where it may meet them in a script.
-- ARGV: the slot's prefix, the calling process (or ''), then the script's own arguments, from ARGV[3] on.
-- Plain Lua 5.1 without shebang, cmsgpack or struct: miniredis runs it too. Batches stay under 1,000 items.
local events, books, processes, retry, parked = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local dead, deadorgs, deadids, schema = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local slot, me = ARGV[1], ARGV[2]
local call, group = redis.call, 'dispatcher'
local month = 30 * 24 * 3600 * 1000 -- ms; private keys of an unfinished event that nobody touched for so long are rubbish

-- A first write that frees memory: what follows may then write although maxmemory is reached (specification.md, section 4, "Full Redis").
call('HDEL', books, '_')

local function int(n) return string.format('%.0f', n) end
local function clock() local t = call('TIME') return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000) end
local now = clock()
local nows, months = int(now), int(month)

local function heldby(p) return slot .. 'held:' .. p end
local function lease(p) return slot .. 'lease:' .. p end
local function parkedof(org) return slot .. 'parked:' .. org end
local function progress(entry) return slot .. 'progress:' .. entry end
local function mark(org, id) return slot .. 'mark:' .. org .. '/' .. id end
local held = heldby(me)

-- A process may hold work while it is registered. A negative score: another is taking its work over.
local function registered()
  local score = call('ZSCORE', processes, me)
  return score and tonumber(score) >= 0
end

local function marked() return not schema or call('GET', schema) == '1' end

-- Flat field list -> table.
local function fields(flat)
  local f = {}
  for i = 1, #flat, 2 do f[flat[i]] = flat[i + 1] end
  return f
end

-- The entry's fields, or nil where it no longer stands in the stream.
local function read(entry)
  local r = redis.pcall('XRANGE', events, entry, entry)
  if r.err or not r[1] then return nil end
  return fields(r[1][2])
end

-- a <= b, as stream ids.
local function upto(a, b)
  local ams, aseq = string.match(a, '^(%d+)-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)-(%d+)$')
  if not ams or not bms then return false end
  if #ams ~= #bms then return #ams < #bms end
  if ams ~= bms then return ams < bms end
  if #aseq ~= #bseq then return #aseq < #bseq end
  return aseq <= bseq
end

local function validid(s) return s and #s >= 1 and #s <= 128 and not string.find(s, '[^A-Za-z0-9._:-]') end
-- The name of an event: anything in print, so that it can be shown, logged and matched.
local function validname(s) return s and #s >= 1 and #s <= 128 and not string.find(s, '%c') end
local function explicit(f) return validid(f.id) end

-- A dead entry's places in the two indexes. Lexicographic order is the stream's order within one organization.
local function places(id, org, at)
  local ms, seq = string.match(at, '^(%d+)-(%d+)$')
  local padded = string.rep('0', 13 - #ms) .. ms .. '-' .. string.rep('0', 20 - #seq) .. seq
  return org .. '/' .. padded, id .. '/' .. org .. '/' .. at
end

-- The organization under which a dead event is indexed: '' where the field is ill-formed, which no page of an organization shows.
local function indexed(org) if validid(org) then return org end return '' end

-- forget drops all private traces of an entry but its place in the stream; with done, its id stays taken for 24 h.
local function forget(entry, f, done)
  call('DEL', progress(entry))
  if f and explicit(f) and validid(f.org_id) then
    local m = mark(f.org_id, f.id)
    if call('GET', m) == entry then
      if done then call('SET', m, 'done', 'PX', '86400000') else call('DEL', m) end
    end
  end
end

-- bury moves an entry that still stands in the stream to the dead ones. The caller has removed it from held, retry or parked.
local function bury(entry, f, reason, attempts, status, why, seen, at)
  local id = f.id
  if reason == 'invalid_event' or not explicit(f) then id = entry end
  local out = {}
  local function put(k, v) if v and v ~= '' then out[#out + 1] = k out[#out + 1] = v end end
  put('event', f.event) put('org_id', f.org_id) put('payload', f.payload)
  put('id', id) put('published_at', at) put('reason', reason)
  out[#out + 1] = 'attempts' out[#out + 1] = attempts
  put('last_status', status) put('last_error', why) put('first_seen_at', seen)
  local d = call('XADD', dead, '*', unpack(out))
  local byorg, byid = places(id, indexed(f.org_id), d)
  call('ZADD', deadorgs, '0', byorg)
  call('ZADD', deadids, '0', byid)
  forget(entry, f, false)
  call('XDEL', events, entry)
  call('HINCRBY', books, 'dead', '1')
end

-- RFC 3339 in UTC of Unix milliseconds (Howard Hinnant's civil_from_days).
local function rfc3339(ms)
  local s = math.floor(ms / 1000)
  local days, sec = math.floor(s / 86400), s % 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local d = doy - math.floor((153 * mp + 2) / 5) + 1
  local m = mp < 10 and mp + 3 or mp - 9
  local y = yoe + era * 400 + (m <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', y, m, d, math.floor(sec / 3600), math.floor(sec % 3600 / 60), sec % 60, ms % 1000)
end

local function millis(entry) return tonumber(string.match(entry, '^(%d+)')) or 0 end

-- When an event was published: a replay carries it along, for every other its stream id says it.
local function publishedat(entry, f)
  if f.replay and f.published_at then return f.published_at end
  return rfc3339(millis(entry))
end

-- judge decides about an entry read for the first time: true, it is to be delivered; else it has been finished here, and the second
-- result is the outcome. Dedupe: a mark names the entry it stands for, so one whose entry is gone from the stream binds nobody.
local function judge(entry, f)
  if not (validname(f.event) and validid(f.org_id) and f.payload and (not f.id or validid(f.id))) then
    bury(entry, f, 'invalid_event', '0', '', 'a stream field is missing or ill-formed', rfc3339(now), publishedat(entry, f))
    return false, 'dead'
  end
  if f.id then
    local m = mark(f.org_id, f.id)
    if not call('SET', m, entry, 'PX', months, 'NX') then
      local is = call('GET', m)
      local taken = is ~= entry and (is == 'done' or read(is))
      if not taken then
        call('SET', m, entry, 'PX', months)
      elseif not f.replay then
        call('XDEL', events, entry)
        call('HINCRBY', books, 'duplicate', '1')
        return false, 'duplicate'
      end
    end
  end
  return true
end

-- known says whether a taken entry stands in one of the places of unfinished ones.
local function known(entry, org)
  if call('ZSCORE', retry, entry) then return true end
  if org and call('ZSCORE', parkedof(org), entry) then return true end
  for _, p in ipairs(call('ZRANGE', processes, '0', '-1')) do
    if call('HEXISTS', heldby(p), entry) == 1 then return true end
  end
  return false
end

-- park puts entries, already out of held and retry, among their organization's parked ones, in the order they were first seen.
-- list: score, entry, score, entry …
local function park(org, list)
  local added = 0
  for i = 1, #list, 1000 do added = added + call('ZADD', parkedof(org), unpack(list, i, math.min(#list, i + 999))) end
  if added > 0 then call('HINCRBY', books, 'parked', int(added)) end
  call('ZADD', parked, 'NX', nows, org)
end

-- parkall parks what was collected by organization, and returns the organizations.
local function parkall(lists)
  local orgs = {}
  for org, list in pairs(lists) do
    park(org, list)
    orgs[#orgs + 1] = org
  end
  return orgs
end

-- hold puts collected pairs (entry, when first seen) among those held by me.
local function hold(pairs) if #pairs > 0 then call('HSET', held, unpack(pairs)) end end

-- later makes an entry due at a time (Unix ms) and keeps when it was first seen.
local function later(entry, due, seen)
  local p = progress(entry)
  call('HSETNX', p, 'seen', int(seen))
  call('PEXPIRE', p, int(month + math.max(0, due - now)))
  call('ZADD', retry, int(due), entry)
end

-- What a process gets of an event: entry, event, organization, id, payload, when first seen (Unix ms); and what few have: the size of
-- a payload that is left out because it is above max (such a one is only ever given up or skipped), when a replayed one was published,
-- attempts, last status and last error. Nothing can be known of a fresh one beyond its entry.
local function view(entry, f, seen, max, fresh)
  local body, size = f.payload or '', ''
  if #body > max then
    size = int(#body)
    body = ''
  end
  local p = fresh and {} or fields(call('HGETALL', progress(entry)))
  local v = { entry, f.event or '', f.org_id or '', f.id or '', body, p.seen or seen }
  local published = f.replay and f.published_at or ''
  if size ~= '' or published ~= '' or p.attempts then
    v[7], v[8], v[9], v[10], v[11] = size, published, p.attempts or '0', p.status or '', p.error or ''
  end
  return v
end

-- The group, from the stream's beginning: what was taken before is recognised by known.
local function makegroup() return redis.pcall('XGROUP', 'CREATE', events, group, '0', 'MKSTREAM') end

-- unlist removes a process from the group's consumers, of which each that reads becomes one. It has nothing pending: take reads with NOACK.
local function unlist(p) redis.pcall('XGROUP', 'DELCONSUMER', events, group, p) end

-- XINFO as a table; nil where there is no stream.
local function streaminfo()
  local r = redis.pcall('XINFO', 'STREAM', events)
  if r.err then return nil end
  return fields(r)
end

-- look reads the counters of the stream and keeps the books right when it was made anew: `base` is what was published before the
-- counter that Redis keeps (entries-added) began. Returns XLEN, entries-added or nil where this Redis keeps none (miniredis), and the
-- oldest entry's id or nil. A stream is another one where fewer entries were added than before, where nothing was deleted any more, or
-- where nothing was ever removed and yet another entry is the first. It reads two payloads, since XINFO shows the first entry and the last: once in a script is enough.
local function look()
  local info = streaminfo()
  local len = call('XLEN', events)
  local added, oldest = 0, nil
  if info then
    added = tonumber(info['entries-added'])
    oldest = info['first-entry'] and info['first-entry'][1]
  end
  if not added then
    if marked() then call('HSETNX', books, 'base', '0') end
    return len, nil, oldest
  end
  if not marked() then return len, added, oldest end -- nothing is written where there may be nothing of ours
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
  if oldest then call('HSET', books, 'seen_first', oldest) end -- else it stays: the stream is only empty
  return len, added, oldest
end

-- The books: published, replayed, delivered, skipped, dead, duplicate, waiting, difference. And the id of the oldest entry, if known.
local function balance()
  local len, added, oldest = look()
  local b = call('HMGET', books, 'base', 'replayed', 'delivered', 'skipped', 'dead', 'duplicate')
  local n = {}
  for i = 1, 6 do n[i] = tonumber(b[i] or '0') or 0 end
  if not b[1] and added then n[1] = len - added end
  local finished = n[3] + n[4] + n[5] + n[6]
  local total = added and n[1] + added or finished + len
  return { int(total - n[2]), int(n[2]), int(n[3]), int(n[4]), int(n[5]), int(n[6]), int(len), int(total - finished - len) },
    oldest
end
