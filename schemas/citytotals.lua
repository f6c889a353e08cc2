#!lua name=citytotals_@ID@
-- The only writer and reader of a city's state: open, commit, skip, snapshot, proof; and what
-- follows in rebuild.lua, which is appended to this file. docs/redis-keys.md explains the keys.
--
-- A script that fails half-way is not rolled back, so every function looks at everything first and writes second: types,
-- numbers, bounds, stream ids, and whether the caller's user may run each command on each key. Redis itself refuses a
-- writing function at its start, never in its middle, when memory is short, the disk fails or it is a replica.
-- Every key is "{<city>}:<suffix>"; KEYS[1] is "{<city>}:totals" and routes the call to the city's slot.

local COUNTER_MOST = 9e14 -- far from 2^53, where doubles stop being integers; times ten still below it
local UNPACK_MOST = 500
local TAIL_MOST = 1048560 -- bytes of a lane's tail in one answer: a multiple of the 24-byte record
local LANE_MOST = 536870904 -- Redis holds at most 512 MiB in a string
local LANES = 64
local RECORD = 24 -- bytes of one record of a lane
local CHANGE_MOST = 100 -- strings of one entry of `changes`
local CHANGES_MOST = 1100 -- entries that a snapshot gives; the stream is cut near 1,000
local REFUSED_KEPT = 1000 -- entries that each stream of refused records is cut near
local REPEAT = 32 -- bytes of one record of `repeats`
local REPEATS_KEPT = 4096 * REPEAT -- of its latest; it is cut when it holds twice that
local DUMPED_FROM = 1000 -- visitors
local RDB_SORTED_SET = 5 -- first byte of DUMP: members and binary scores
local DAY = 86400000
local CITY_OFFSET = 25200000 -- UTC+7
local HASHES = {
  'totals', 'offsets', 'last', 'headcount:baseline', 'headcount:current', 'headcount:by-day', 'units', 'units:by-day', 'pilots',
  'pilots:by-day', 'visits:by-day', 'dead-letters', 'gaps',
}
local CATEGORIES = { 'city_agency', 'city_division', 'district_division', 'public_service_unit', 'commune' }

local function prefix(keys) return string.sub(keys[1], 1, -7) end

-- Every number here is an integer that fits 64 bits, and %d is several times faster than %.0f.
local function text(number) return string.format('%d', number) end

local function corrupt(sentence) return redis.error_reply('CITYTOTALS ' .. sentence) end

local function within(number) return number <= COUNTER_MOST and number >= -COUNTER_MOST end

-- Decimal text of an integer, or nil: tonumber alone takes "0x10", "1e3", "inf" and " 5 " too.
local function integer(value) return string.find(value, '^%-?%d+$') and tonumber(value) end

-- A stored counter, or nil and a sentence. Absent is zero.
local function counter(value, key, field)
  if not value then return 0 end
  local number = integer(value)
  if not number or not within(number) then
    return nil, 'key ' .. key .. ' field ' .. field .. ' holds "' .. string.sub(value, 1, 40) .. '", not an integer within 9e14'
  end
  return number
end

-- May the caller's user do this? Redis asks again at each call, but then it may be too late.
local function forbidden(command, key, ...)
  if redis.acl_check_cmd(command, key, ...) then return nil end
  return redis.error_reply('NOPERM this user may not ' .. command .. ' ' .. key .. '; nothing was written')
end

local function civil(days)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02d', year, month, day)
end

local function city_day(ms) return math.floor((ms + CITY_OFFSET) / DAY) end

-- reduction × 100 / baseline with 4 decimals, half away from zero, by long division: no step leaves 2^53.
local function percent(reduction, baseline)
  if baseline <= 0 then return '' end
  local rest = math.abs(reduction)
  local function digit()
    rest = rest * 10
    local d = math.floor(rest / baseline)
    rest = rest - d * baseline
    return d
  end
  local ratio = math.floor(rest / baseline)
  rest = rest - ratio * baseline
  local percents, fraction = digit() * 10 + digit(), 0
  for _ = 1, 4 do fraction = fraction * 10 + digit() end
  if rest * 2 >= baseline then fraction = fraction + 1 end
  if fraction == 10000 then
    -- Rounding can only carry where the baseline has many digits, so the ratio is small here.
    fraction, percents = 0, percents + 1
    if percents == 100 then ratio, percents = ratio + 1, 0 end
  end
  local whole = ratio > 0 and string.format('%.0f%02d', ratio, percents) or text(percents)
  local sign = (reduction < 0 and (ratio > 0 or percents > 0 or fraction > 0)) and '-' or ''
  return string.format('%s%s.%04d', sign, whole, fraction)
end

-- HGET of many fields, a bounded number at a time. `first` to `last` are places in `list`.
local function hash_values(key, list, first, last)
  local values, n = {}, 0
  for i = first, last, UNPACK_MOST do
    local part = redis.call('HMGET', key, unpack(list, i, math.min(i + UNPACK_MOST - 1, last)))
    for j = 1, #part do
      n = n + 1
      values[n] = part[j]
    end
  end
  return values
end

local function call_in_parts(command, key, arguments)
  for i = 1, #arguments, UNPACK_MOST do
    redis.call(command, key, unpack(arguments, i, math.min(i + UNPACK_MOST - 1, #arguments)))
  end
end

-- Would a stream refuse entries of this version? nil, or the refusal.
local function ahead(key, version)
  if redis.call('EXISTS', key) == 0 then return nil end
  local info = redis.call('XINFO', 'STREAM', key)
  for i = 1, #info, 2 do
    local newest = info[i] == 'last-generated-id' and tonumber(string.match(info[i + 1], '^%d+'))
    if newest and newest >= version then
      return corrupt('key ' .. key .. ' has seen version ' .. text(newest) .. ' and totals goes on with ' .. text(version) ..
        ': part of the state was deleted')
    end
  end
end

-- open: ARGV new epoch, cluster id, accepted cluster id ('' = none).
-- Begins the state of a city that has none. Answers {epoch, cluster id that the state belongs to}.
-- Refuses a state of which a part was deleted: it would be counted wrongly from then on.
local function open(keys, args)
  local p = prefix(keys)
  local meta = redis.call('HMGET', p .. 'meta', 'epoch', 'cluster_id')
  local refused = forbidden('HSET', p .. 'meta', 'epoch', '')
  if refused then return refused end
  local lanes, bytes = {}, 0
  for lane = 1, LANES do
    lanes[lane] = p .. 'seen:' .. (lane - 1)
    bytes = bytes + redis.call('STRLEN', lanes[lane])
  end
  if not meta[1] then
    for _, suffix in ipairs(HASHES) do
      if redis.call('EXISTS', p .. suffix) > 0 then
        return corrupt('key ' .. p .. 'meta has no epoch though ' .. p .. suffix .. ' exists: part of the state was deleted')
      end
    end
    if redis.call('EXISTS', unpack(lanes)) > 0 or redis.call('EXISTS', p .. 'changes') > 0 then
      return corrupt('key ' .. p .. 'meta has no epoch though seen lanes or changes exist: part of the state was deleted')
    end
    local told = { p .. 'repeats' }
    for lane = 1, LANES do told[lane + 1] = p .. 'refused:' .. (lane - 1) end
    if redis.call('EXISTS', unpack(told)) > 0 then
      return corrupt('key ' .. p .. 'meta has no epoch though repeats or refused records exist: part of the state was deleted')
    end
    redis.call('HSET', p .. 'meta', 'epoch', args[1], 'cluster_id', args[2], 'layout', '1')
    return { args[1], args[2] }
  end
  -- Whoever folds a record writes all of these.
  local there = {}
  for _, suffix in ipairs({ 'totals', 'last', 'offsets' }) do there[suffix] = redis.call('EXISTS', p .. suffix) end
  if there.totals ~= there.last or there.offsets < there.last then
    local lost = there.totals == 0 and 'totals' or there.last == 0 and 'last' or 'offsets'
    return corrupt('key ' .. p .. lost .. ' is missing: part of the state was deleted')
  end
  local events, sentence = counter(redis.call('HGET', p .. 'totals', 'events'), p .. 'totals', 'events')
  if not events then return corrupt(sentence) end
  if bytes ~= events * RECORD then
    return corrupt('the lanes ' .. p .. 'seen:* hold ' .. text(bytes) .. ' bytes, and ' .. text(events) .. ' events of ' .. RECORD ..
      ' bytes were counted: part of the state was deleted or changed')
  end
  local cluster = meta[2] or ''
  if cluster ~= args[2] and args[3] == args[2] then
    local now = redis.call('TIME')
    redis.call('HSET', p .. 'meta', 'cluster_id', args[2], 'cluster_accepted:' .. args[2], now[1] .. ' instead of ' .. cluster)
    cluster = args[2]
  end
  return { meta[1], cluster }
end

-- Is the state still the caller's? nil, or the refusal.
local function fenced(p, epoch, fields, from)
  local meta = redis.call('HMGET', p .. 'meta', 'epoch', 'held_until')
  if meta[1] ~= epoch then return { 'EPOCH', meta[1] or '' } end
  if meta[2] and tonumber(redis.call('TIME')[1]) < (integer(meta[2]) or 0) then return { 'HELD' } end
  local offsets = hash_values(p .. 'offsets', fields, 1, #fields)
  for i = 1, #fields do
    local offset = offsets[i] or '0'
    if offset ~= from[i] then return { 'FENCED', fields[i], offset } end -- @FENCE@
  end
end

-- Decide the visits of a batch in log order. Fills `plan` with what to write; reads only.
local function decide_visits(p, packed, closed, plan)
  local latest, day_key = {}, {}
  local position, count = 1, #packed / 32
  for _ = 1, count do
    local visitor, occurred, kafka
    visitor, occurred, kafka, position = struct.unpack('>c16i8i8', packed, position)
    local day = city_day(occurred)
    if closed and day <= closed then
      plan.late = plan.late + 1
    else
      local seen = latest[day]
      if not seen then
        seen = {}
        latest[day] = seen
        day_key[day] = p .. 'visitors:' .. civil(day)
      end
      local known = seen[visitor]
      if known == nil then
        known = tonumber(redis.call('ZSCORE', day_key[day], visitor) or nil)
      end
      if not known or occurred - known >= 1800000 then
        plan.visits[day] = (plan.visits[day] or 0) + 1
        plan.total = plan.total + 1
      end
      local time = math.min(occurred, kafka)
      if not known or time > known then
        seen[visitor] = time
        plan.changed = true
      elseif seen[visitor] == nil then
        seen[visitor] = known
      end
    end
  end
  plan.latest, plan.day_key = latest, day_key
end

-- commit: everything that a batch changes, at once, or nothing.
-- ARGV, in this order; each list begins with its length:
--   epoch, updated_at (RFC 3339 UTC of the latest Kafka timestamp, '' = none)
--   partitions: field of `offsets`, position read from, position after, value for `last` ('' = leave)
--   lanes: number, expected bytes, new records
--   hashes: suffix, n, n fields, n amounts to add
--   changes: number of strings, the strings (field, value, …)
--   refused records: lane, number of strings, the strings (field, value, …)
--   repeats: packed records (16-byte identity, partition, offset: 8 bytes each, big-endian)
--   page visits: packed records (16-byte visitor, occurred_at, Kafka timestamp: big-endian ms),
--                then the topic's name and number of partitions
-- Answers {'OK', version, late visits} | {'EPOCH', stored} | {'FENCED', field, stored} |
--         {'STALE', lane, bytes stored, tail, …} | {'HELD'}: a rebuild is about to take the state's place.
local function commit(keys, args)
  local p = prefix(keys)
  local at = 3
  local function take()
    at = at + 1
    return args[at - 1]
  end

  local fields, from, to, last = {}, {}, {}, {}
  for i = 1, tonumber(take()) do
    fields[i], from[i], to[i], last[i] = take(), take(), take(), take()
    if not string.find(to[i], '^%d+$') then return corrupt('the position after of ' .. fields[i] .. ' is "' .. to[i] .. '"') end
  end
  local refused = fenced(p, args[1], fields, from)
  if refused then return refused end
  redis.call('HLEN', p .. 'last')

  local lanes, records, stale = {}, {}, { 'STALE' }
  for i = 1, tonumber(take()) do
    local lane, expected = take(), tonumber(take())
    records[i] = take()
    lanes[i] = p .. 'seen:' .. lane
    local size = redis.call('STRLEN', lanes[i])
    if size ~= expected then -- @LANE_LENGTH@
      stale[#stale + 1] = lane
      stale[#stale + 1] = text(size)
      stale[#stale + 1] = size > expected and redis.call('GETRANGE', lanes[i], expected, math.min(size, expected + TAIL_MOST) - 1) or ''
    elseif size + #records[i] > LANE_MOST then
      return corrupt('key ' .. lanes[i] .. ' is full: it holds the most that Redis can (512 MiB)')
    end
  end
  if #stale > 1 then return stale end

  local totals_key = p .. 'totals'
  local changed = false
  local hash_keys, hash_writes = {}, {}
  local totals_new, pilots_change, units_touched = {}, 0, false
  local units_new = {}
  -- Found once: a look into a library's table costs as much as the call.
  local find, format, to_number = string.find, string.format, tonumber
  for i = 1, tonumber(take()) do
    local suffix, n = take(), tonumber(take())
    local key = p .. suffix
    local values = hash_values(key, args, at, at + n - 1)
    local writes = {}
    for j = 1, n do
      local field, old = args[at + j - 1], values[j]
      if not old then
        old = 0
      else
        old = find(old, '^%-?%d+$') and to_number(old)
        if not old or old > COUNTER_MOST or old < -COUNTER_MOST then return corrupt(select(2, counter(values[j], key, field))) end
      end
      local new = old + integer(args[at + n + j - 1])
      if new > COUNTER_MOST or new < -COUNTER_MOST then
        return corrupt('key ' .. key .. ' field ' .. field .. ' would leave the range of 9e14')
      end
      if suffix == 'totals' then
        totals_new[field] = new
      elseif suffix == 'pilots' then
        pilots_change = pilots_change + (new > 0 and 1 or 0) - (old > 0 and 1 or 0)
      elseif suffix == 'units' then
        units_new[field] = new
        units_touched = true
      end
      writes[2 * j - 1] = field
      writes[2 * j] = format('%d', new)
    end
    at = at + 2 * n
    changed = changed or n > 0
    if suffix ~= 'totals' then
      hash_keys[#hash_keys + 1] = key
      hash_writes[#hash_keys] = writes
    end
  end

  local changes = {}
  for i = 1, tonumber(take()) do
    local entry = {}
    for j = 1, tonumber(take()) do entry[j] = take() end
    if #entry == 0 or #entry % 2 ~= 0 or #entry > CHANGE_MOST then return corrupt('a change of ' .. #entry .. ' strings') end
    changes[i] = entry
  end

  local refusals, refused_keys = {}, {}
  for i = 1, tonumber(take()) do
    local key, entry = p .. 'refused:' .. take(), {}
    for j = 1, tonumber(take()) do entry[j] = take() end
    if #entry == 0 or #entry % 2 ~= 0 or #entry > CHANGE_MOST then return corrupt('a refused record of ' .. #entry .. ' strings') end
    refusals[i] = { key, entry }
    refused_keys[key] = true
    changed = true
  end
  local repeats, repeats_key = take(), p .. 'repeats'
  if #repeats % REPEAT ~= 0 or #repeats > REPEATS_KEPT then
    return corrupt('repeats in ' .. #repeats .. ' bytes, not at most 4096 whole records of ' .. REPEAT)
  end
  if #repeats > 0 then redis.call('STRLEN', repeats_key) end

  local packed, visit_topic, visit_partitions = take(), take(), tonumber(take())
  if #packed % 32 ~= 0 then return corrupt('page visits in ' .. #packed .. ' bytes, not whole records of 32') end
  local plan = { visits = {}, total = 0, late = 0, changed = false }
  local closed = false
  local closing, closing_days = nil, {}
  if #packed > 0 then
    closed = redis.call('HGET', p .. 'meta', 'visitors_closed')
    closed = closed and tonumber(closed)
    decide_visits(p, packed, closed, plan)
    changed = changed or plan.changed or plan.total > 0
    -- A day's set may go when every partition has been folded past its end + 24 h in Kafka time.
    local names, newest = {}, {}
    for i = 1, visit_partitions do names[i] = visit_topic .. '/' .. (i - 1) end
    local stored = hash_values(p .. 'last', names, 1, #names)
    for i = 1, #names do newest[names[i]] = stored[i] end
    for i = 1, #fields do
      if newest[fields[i]] ~= nil and last[i] ~= '' then newest[fields[i]] = last[i] end
    end
    local least
    for i = 1, #names do
      local time = newest[names[i]] and tonumber(string.match(newest[names[i]], '(%-?%d+)$'))
      if not time then
        least = nil
        break
      end
      if not least or time < least then least = time end
    end
    if least and visit_partitions > 0 then
      closing = city_day(least - DAY) - 1
      if closed and closing <= closed then closing = nil end
    end
    if closing then closing_days = redis.call('HKEYS', p .. 'visits:by-day') end
    local day_fields, days = {}, {}
    for day in pairs(plan.visits) do
      days[#days + 1] = day
      day_fields[#day_fields + 1] = civil(day)
    end
    if #days > 0 then
      local values = hash_values(p .. 'visits:by-day', day_fields, 1, #day_fields)
      local writes = {}
      for i = 1, #days do
        local old, sentence = counter(values[i], p .. 'visits:by-day', day_fields[i])
        if not old then return corrupt(sentence) end
        writes[#writes + 1] = day_fields[i]
        if not within(old + plan.visits[days[i]]) then
          return corrupt('key ' .. p .. 'visits:by-day field ' .. day_fields[i] .. ' would leave the range of 9e14')
        end
        writes[#writes + 1] = text(old + plan.visits[days[i]])
      end
      hash_keys[#hash_keys + 1] = p .. 'visits:by-day'
      hash_writes[#hash_keys] = writes
    end
  end

  -- What follows from the sums.
  local known = redis.call('HMGET', totals_key, 'headcount_baseline', 'headcount_current', 'pilots', 'visits', 'version', 'updated_at')
  local names = { 'headcount_baseline', 'headcount_current', 'pilots', 'visits', 'version' }
  local now = {}
  for i = 1, 5 do
    local value, sentence = counter(known[i], totals_key, names[i])
    if not value then return corrupt(sentence) end
    now[names[i]] = totals_new[names[i]] or value
  end
  local totals_writes, totals_deletes = {}, {}
  local function set(field, value)
    totals_writes[#totals_writes + 1] = field
    totals_writes[#totals_writes + 1] = value
  end
  for field, value in pairs(totals_new) do set(field, text(value)) end
  if changed then
    local reduction = now.headcount_baseline - now.headcount_current
    set('headcount_reduction', text(reduction))
    set('reduction_percent', percent(reduction, now.headcount_baseline))
    set('headcount_baseline', text(now.headcount_baseline))
    set('headcount_current', text(now.headcount_current))
    set('pilots', text(now.pilots + pilots_change))
    set('visits', text(now.visits + plan.total))
    set('version', text(now.version + 1))
  end
  if units_touched then
    local stored_names = {}
    for i = 1, #CATEGORIES do
      local c = CATEGORIES[i]
      for _, measure in ipairs({ 'baseline', 'baselines', 'change', 'merged', 'mergers' }) do
        stored_names[#stored_names + 1] = measure .. ':' .. c
      end
    end
    local stored = hash_values(p .. 'units', stored_names, 1, #stored_names)
    local units = {}
    for i = 1, #stored_names do
      local value, sentence = counter(stored[i], p .. 'units', stored_names[i])
      if not value then return corrupt(sentence) end
      units[stored_names[i]] = units_new[stored_names[i]] or value
    end
    for i = 1, #CATEGORIES do
      local c = CATEGORIES[i]
      if units['baselines:' .. c] > 0 then
        set('units_baseline:' .. c, text(units['baseline:' .. c]))
      else
        totals_deletes[#totals_deletes + 1] = 'units_baseline:' .. c
      end
      set('units_change:' .. c, text(units['change:' .. c]))
      set('units_merged:' .. c, text(units['merged:' .. c]))
      set('mergers:' .. c, text(units['mergers:' .. c]))
    end
  end
  if args[2] ~= '' and args[2] > (known[6] or '') then set('updated_at', args[2]) end
  local version = changed and now.version + 1 or now.version
  if not within(version) or not within(now.visits + plan.total) then
    return corrupt('key ' .. totals_key .. ' field version or visits would leave the range of 9e14')
  end
  local gone = #changes > 0 and ahead(p .. 'changes', version) or nil
  for key in pairs(refused_keys) do gone = gone or ahead(key, version) end
  if gone then return gone end
  -- A day that is closed by this very commit needs no set any more.
  local visitors = {}
  for day, seen in pairs(plan.latest or {}) do
    local writes = {}
    if not closing or day > closing then
      for visitor, time in pairs(seen) do
        writes[#writes + 1] = text(time)
        writes[#writes + 1] = visitor
      end
    end
    if #writes > 0 then visitors[plan.day_key[day]] = writes end
  end

  -- May this user write all that?
  local may_not
  local function ask(...) may_not = may_not or forbidden(...) end
  for i = 1, #lanes do ask('APPEND', lanes[i], '') end
  for i = 1, #hash_keys do ask('HSET', hash_keys[i], 'f', 'v') end
  ask('HSET', totals_key, 'f', 'v')
  ask('HDEL', totals_key, 'f')
  ask('HSET', p .. 'offsets', 'f', 'v')
  ask('HSET', p .. 'last', 'f', 'v')
  if #changes > 0 then ask('XADD', p .. 'changes', '*', 'f', 'v') end
  for key in pairs(refused_keys) do ask('XADD', key, '*', 'f', 'v') end
  if #repeats > 0 then
    ask('APPEND', repeats_key, '')
    ask('GETRANGE', repeats_key, '0', '0')
    ask('SET', repeats_key, '')
  end
  for key in pairs(visitors) do ask('ZADD', key, '0', 'm') end
  if closing then
    ask('HSET', p .. 'meta', 'f', 'v')
    ask('UNLINK', p .. 'visitors:' .. civil(closing))
  end
  if may_not then return may_not end

  -- From here on nothing can fail: write.
  for i = 1, #lanes do
    if #records[i] > 0 then redis.call('APPEND', lanes[i], records[i]) end
  end
  for i = 1, #hash_keys do call_in_parts('HSET', hash_keys[i], hash_writes[i]) end
  if #totals_writes > 0 then call_in_parts('HSET', totals_key, totals_writes) end
  if #totals_deletes > 0 then redis.call('HDEL', totals_key, unpack(totals_deletes)) end
  for i = 1, #changes do
    redis.call('XADD', p .. 'changes', 'MAXLEN', '~', 1000, text(version) .. '-' .. i, unpack(changes[i]))
  end
  for i = 1, #refusals do
    redis.call('XADD', refusals[i][1], 'MAXLEN', '~', REFUSED_KEPT, text(version) .. '-' .. i, unpack(refusals[i][2]))
  end
  if #repeats > 0 and redis.call('APPEND', repeats_key, repeats) >= 2 * REPEATS_KEPT then
    redis.call('SET', repeats_key, redis.call('GETRANGE', repeats_key, -REPEATS_KEPT, -1))
  end
  for key, writes in pairs(visitors) do call_in_parts('ZADD', key, writes) end
  if closing then
    local end_of_closing = civil(closing)
    for i = 1, #closing_days do
      if closing_days[i] <= end_of_closing then redis.call('UNLINK', p .. 'visitors:' .. closing_days[i]) end
    end
    redis.call('HSET', p .. 'meta', 'visitors_closed', text(closing))
  end
  local offset_writes, last_writes = {}, {}
  for i = 1, #fields do
    offset_writes[#offset_writes + 1] = fields[i]
    offset_writes[#offset_writes + 1] = to[i]
    if last[i] ~= '' then
      last_writes[#last_writes + 1] = fields[i]
      last_writes[#last_writes + 1] = last[i]
    end
  end
  if #offset_writes > 0 then call_in_parts('HSET', p .. 'offsets', offset_writes) end
  if #last_writes > 0 then call_in_parts('HSET', p .. 'last', last_writes) end
  return { 'OK', text(version), text(plan.late) }
end

-- skip: ARGV epoch, field, position stored, position to go on at, why. Records the gap.
local function skip(keys, args)
  local p = prefix(keys)
  local refused = fenced(p, args[1], { args[2] }, { args[3] })
  if refused then return refused end
  local last = redis.call('HGET', p .. 'last', args[2])
  redis.call('HLEN', p .. 'gaps')
  for _, suffix in ipairs({ 'gaps', 'offsets', 'last' }) do
    local may_not = forbidden('HSET', p .. suffix, 'f', 'v')
    if may_not then return may_not end
  end
  local newest = last and string.match(last, '(%-?%d+)$')
  redis.call('HSET', p .. 'gaps', args[2] .. '/' .. args[3], args[4] .. ' ' .. redis.call('TIME')[1] .. ' ' .. args[5])
  redis.call('HSET', p .. 'offsets', args[2], args[4])
  if newest then redis.call('HSET', p .. 'last', args[2], '-1 0 0 ' .. newest) end
  return { 'OK' }
end

-- The whole hash as field, value, …, or nil and a sentence.
local function whole(key)
  local cells = redis.pcall('HGETALL', key)
  if cells.err then return nil, 'key ' .. key .. ': ' .. cells.err end
  return cells
end

-- The newest entries of the changes stream, newest first, as id, {field, value, …}, …
local function latest_changes(key)
  local entries = redis.pcall('XREVRANGE', key, '+', '-', 'COUNT', CHANGES_MOST)
  if entries.err then return nil, 'key ' .. key .. ': ' .. entries.err end
  local answer = {}
  for i = 1, #entries do
    answer[2 * i - 1] = entries[i][1]
    answer[2 * i] = entries[i][2]
  end
  return answer
end

-- snapshot (read only): ARGV suffixes of hashes, or `changes`. One consistent view, as name, value, name, value, …
local function snapshot(keys, args)
  local p = prefix(keys)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local today = city_day(now)
  local names = { 'totals', 'offsets' }
  for i = 1, #args do names[2 + i] = args[i] end
  local answer = { 'epoch', redis.call('HGET', p .. 'meta', 'epoch') or '', 'now_ms', text(now) }
  for i = 1, #names do
    local read = names[i] == 'changes' and latest_changes or whole
    local cells, sentence = read(p .. names[i])
    if not cells then return corrupt(sentence) end
    answer[#answer + 1] = names[i]
    answer[#answer + 1] = cells
  end

  local days = { civil(today) }
  for i = 1, (today + 3) % 7 do days[i + 1] = civil(today - i) end -- 1970-01-01 was a Thursday: Monday first
  local by_day = p .. 'visits:by-day'
  local visits, week = redis.call('HMGET', by_day, unpack(days)), 0
  for i = 1, #days do
    local number, sentence = counter(visits[i], by_day, days[i])
    if not number then return corrupt(sentence) end
    visits[i] = number
    week = week + number
  end
  local all, sentence = counter(redis.call('HGET', p .. 'totals', 'visits'), p .. 'totals', 'visits')
  if not all then return corrupt(sentence) end
  local today_key = p .. 'visitors:' .. days[1]
  local since = '(' .. text(now - 300000)
  local online = redis.call('ZCOUNT', today_key, since, '+inf')
  if now - (today * DAY - CITY_OFFSET) < 300000 then
    -- Just after midnight the last five minutes lie in two days' sets.
    for _, visitor in ipairs(redis.call('ZRANGEBYSCORE', p .. 'visitors:' .. civil(today - 1), since, '+inf')) do
      if not redis.call('ZSCORE', today_key, visitor) then online = online + 1 end
    end
  end
  answer[#answer + 1] = 'visitors'
  answer[#answer + 1] = { online, visits[1], week, all, redis.call('ZCARD', today_key) }
  return answer
end

-- The days that may have a set of visitors: those of `visits:by-day`, and the latest, should theirs be lost there.
local function visitor_days(p)
  local days, known = {}, {}
  local function add(day)
    if not known[day] then days[#days + 1] = day end
    known[day] = true
  end
  local by_day = redis.pcall('HKEYS', p .. 'visits:by-day')
  if not by_day.err then
    for i = 1, #by_day do add(by_day[i]) end
  end
  local today = city_day(redis.call('TIME')[1] * 1000)
  for day = today - 3, today + 2 do add(civil(day)) end
  return days
end

-- A set of visitors as member, score, …; or, a large one, as '', what DUMP says: that is made twenty times as fast as a table.
local function visitors_of(key, plain)
  local size = redis.pcall('ZCARD', key)
  local dumped = not plain and type(size) == 'number' and size > DUMPED_FROM and redis.pcall('DUMP', key)
  if type(dumped) == 'string' and string.byte(dumped) == RDB_SORTED_SET then return { '', dumped } end
  return redis.pcall('ZRANGE', key, 0, -1, 'WITHSCORES')
end

-- proof (read only): everything that `verify` compares, of one moment. ARGV 'plain': no set as DUMP has it. Answers name, value, …:
-- 'now_ms', ms; then each hash by its suffix ('meta', 'schemas', 'replayed' too): field, value, …; 'repeats': '', its value;
-- 'lanes': bytes of each of the 64;
-- then 'visitors:<date>' of each day that has or may have a set, as visitors_of gives it.
-- A key of a wrong type is answered with Redis's sentence in place of what it holds.
local function proof(keys, args)
  local p = prefix(keys)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local answer = { 'now_ms', text(now) }
  local function put(name, reply)
    answer[#answer + 1] = name
    answer[#answer + 1] = type(reply) == 'table' and reply.err or reply
  end
  for _, suffix in ipairs(HASHES) do put(suffix, redis.pcall('HGETALL', p .. suffix)) end
  for _, suffix in ipairs({ 'meta', 'schemas', 'replayed' }) do put(suffix, redis.pcall('HGETALL', p .. suffix)) end
  local repeats = redis.pcall('GET', p .. 'repeats')
  if repeats then put('repeats', type(repeats) == 'string' and { '', repeats } or repeats) end
  local lanes = {}
  for lane = 1, LANES do
    local size = redis.pcall('STRLEN', p .. 'seen:' .. (lane - 1))
    lanes[lane] = type(size) == 'number' and text(size) or size.err
  end
  put('lanes', lanes)
  for _, day in ipairs(visitor_days(p)) do
    local key = p .. 'visitors:' .. day
    if redis.call('EXISTS', key) > 0 then put('visitors:' .. day, visitors_of(key, args[1] == 'plain')) end
  end
  return answer
end

redis.register_function('citytotals_open_@ID@', open)
redis.register_function('citytotals_commit_@ID@', commit)
redis.register_function('citytotals_skip_@ID@', skip)
redis.register_function({ function_name = 'citytotals_snapshot_@ID@', callback = snapshot, flags = { 'no-writes' } })
redis.register_function({ function_name = 'citytotals_proof_@ID@', callback = proof, flags = { 'no-writes' } })
