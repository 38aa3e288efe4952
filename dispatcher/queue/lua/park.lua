-- park: held by the caller -> parked.
-- Guard: leaving held.
-- ARGV: stride 3: entry, organization, first seen (Unix ms).
-- Reply: state, 1 or 0 (no longer held) for each.
if not registered() then return { 'fenced' } end
local out, to_park = {}, {}
for i = 3, #ARGV, 3 do
  local ok = call('HDEL', held, ARGV[i])
  out[#out + 1] = ok
  if ok == 1 then
    local org = ARGV[i + 1]
    local into = to_park[org] or {}
    to_park[org] = into
    into[#into + 1] = ARGV[i + 2]
    into[#into + 1] = ARGV[i]
  end
end
park_all(to_park)
return { 'ok', out }
