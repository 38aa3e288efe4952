-- park: held by me -> parked. Guarded by leaving held.
-- ARGV: stride 3: entry, organization, first seen (Unix ms). Reply: state, 1 or 0 (not held any more) for each.
if not registered() then return { 'gone' } end
local out, into = {}, {}
for i = 3, #ARGV, 3 do
  local ok = call('HDEL', held, ARGV[i])
  out[#out + 1] = ok
  if ok == 1 then
    local org = ARGV[i + 1]
    local list = into[org] or {}
    into[org] = list
    list[#list + 1] = ARGV[i + 2]
    list[#list + 1] = ARGV[i]
  end
end
parkall(into)
return { 'ok', out }
