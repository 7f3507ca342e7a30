#include "support/fake_dpu.hpp"

#include <set>

namespace vnvme::test {

Card::Card(std::size_t drive_count) {
  for (std::size_t i = 0; i < drive_count; ++i) {
    std::string n = std::to_string(i);
    drives["Nvme" + n + "n1"] =
        dpu::Drive{"Nvme" + n + "n1", "FAKE", "S" + n, GiB(64), 512, false, "", false};
  }
}

void Card::restart(bool whole_card) {
  exposures.clear();
  if (whole_card) functions.clear();
  for (auto& [id, f] : functions) f.ready = false, f.serial.clear();
  raids.clear();
  ++generation;
}

Lvol* Card::by_name(const std::string& pool, const std::string& name) {
  for (auto& [id, l] : lvols)
    if (l.info.pool.value == pool && l.info.name == name) return &l;
  return nullptr;
}

template <class Effect>
auto FakeDpu::step(std::string what, Effect effect) -> Task<decltype(effect())> {
  if (!card_.up || down_)
    co_return fail(Error{Errc::unreachable, Outcome::not_done, "the fake card is switched off", what});
  co_return co_await run_step(plan_, std::move(what), std::move(effect));
}

template <class Effect>
auto FakeDpu::mutate(std::string what, std::string pool, Effect effect) -> Task<decltype(effect())> {
  int& flying = card_.in_flight[pool];
  if (flying > 0) ++card_.overlapping;
  struct Flight {
    int& count;
    explicit Flight(int& c) : count(c) { ++count; }
    ~Flight() { --count; }
  } flight(flying);
  co_return co_await step(std::move(what), std::move(effect));
}

Task<Result<std::uint64_t>> FakeDpu::wait_generation(std::uint64_t seen, Deadline deadline) {
  while (!down_ && (!card_.up || card_.generation <= seen)) {
    if (deadline.passed()) co_return fail(Errc::timeout, "no new session");
    co_await service::pause_for(std::chrono::milliseconds(100));
  }
  if (down_) co_return fail(Errc::cancelled, "shut down");
  seen_ = card_.generation;
  co_return seen_;
}

Task<Result<void>> FakeDpu::wait_lost(Deadline deadline) {
  while (!down_ && card_.up && card_.generation == seen_) {
    if (deadline.passed()) co_return fail(Errc::timeout, "still there");
    co_await service::pause_for(std::chrono::milliseconds(100));
  }
  co_return Result<void>{};
}

Task<Result<dpu::Identity>> FakeDpu::identify(Deadline) {
  return step("identify", [] { return Result<dpu::Identity>(dpu::Identity{"fake", "1"}); });
}
Task<Result<void>> FakeDpu::settle(Deadline) {
  return step("settle", [] { return Result<void>{}; });
}

Task<Result<std::vector<dpu::Drive>>> FakeDpu::list_drives(Deadline) {
  return step("list_drives", [&c = card_] {
    std::vector<dpu::Drive> out;
    for (const auto& [name, d] : c.drives) out.push_back(d);
    return Result<std::vector<dpu::Drive>>(out);
  });
}
Task<Result<std::vector<dpu::Raid>>> FakeDpu::list_raids(Deadline) {
  return step("list_raids", [&c = card_] {
    std::vector<dpu::Raid> out;
    for (const auto& [name, r] : c.raids) out.push_back(r);
    return Result<std::vector<dpu::Raid>>(out);
  });
}
Task<Result<void>> FakeDpu::create_raid(dpu::CreateRaid order, Deadline) {
  return step("create_raid", [&c = card_, order]() -> Result<void> {
    if (c.raids.contains(order.name)) return fail(Errc::already_exists, "raid exists");
    auto members = static_cast<std::uint32_t>(order.drives.size());
    c.raids[order.name] = dpu::Raid{order.name, order.level, order.drives, "online", members, members, {}};
    return {};
  });
}
Task<Result<void>> FakeDpu::delete_raid(std::string name, Deadline) {
  return step("delete_raid", [&c = card_, name]() -> Result<void> {
    if (c.raids.erase(name) == 0) return fail(Errc::not_found, "no such raid");
    for (auto& [n, d] : c.drives) d.claimed = false;
    return {};
  });
}

Task<Result<std::vector<dpu::Pool>>> FakeDpu::list_pools(Deadline) {
  return step("list_pools", [&c = card_] {
    std::vector<dpu::Pool> out;
    for (const auto& [id, p] : c.pools) {
      // A pool on a RAID is there only while the RAID is.
      if (c.drives.contains(p.drive) || c.raids.contains(p.drive)) out.push_back(p);
    }
    return Result<std::vector<dpu::Pool>>(out);
  });
}
Task<Result<PoolId>> FakeDpu::create_pool(dpu::CreatePool order, Deadline) {
  return mutate("create_pool", "new", [&c = card_, order]() -> Result<PoolId> {
    for (const auto& [id, p] : c.pools)
      if (p.name == order.name) return fail(Errc::already_exists, "pool exists");
    dpu::Pool p;
    p.id = PoolId(random_uuid());
    p.name = order.name;
    p.drive = order.drive;
    p.cluster = c.cluster;
    p.total = p.free = GiB(64);
    c.pools[p.id.value] = p;
    if (auto d = c.drives.find(order.drive); d != c.drives.end()) d->second.claimed = true;
    if (auto r = c.raids.find(order.drive); r != c.raids.end())
      for (const auto& member : r->second.drives) c.drives[member].claimed = true;
    return p.id;
  });
}
Task<Result<void>> FakeDpu::delete_pool(PoolId id, Deadline) {
  return mutate("delete_pool", id.value, [&c = card_, id]() -> Result<void> {
    auto it = c.pools.find(id.value);
    if (it == c.pools.end()) return fail(Errc::not_found, "no such pool");
    std::erase_if(c.lvols, [&](const auto& l) { return l.second.info.pool == id; });
    if (auto d = c.drives.find(it->second.drive); d != c.drives.end()) d->second.claimed = false;
    c.pools.erase(it);
    return {};
  });
}

Task<Result<void>> FakeDpu::quiet(PoolId, Deadline) {
  return step("quiet", [&c = card_]() -> Result<void> {
    if (c.overdue) return fail(Errc::busy, "an answer is overdue");
    return {};
  });
}

dpu::DpuVolume FakeDpu::describe(const Card& c, const Lvol& l) {
  dpu::DpuVolume out = l.info;
  for (const auto& [id, other] : c.lvols)
    if (other.info.pool == l.info.pool && other.info.parent == l.info.name)
      out.children.push_back(other.info.name);
  return out;
}
Task<Result<std::vector<dpu::DpuVolume>>> FakeDpu::list_volumes(PoolId pool, Deadline) {
  return step("list_volumes", [&c = card_, pool] {
    std::vector<dpu::DpuVolume> out;
    for (const auto& [id, l] : c.lvols)
      if (pool.empty() || l.info.pool == pool) out.push_back(describe(c, l));
    return Result<std::vector<dpu::DpuVolume>>(out);
  });
}
Task<Result<std::vector<dpu::DpuVolume>>> FakeDpu::list_volume_names(PoolId pool, Deadline d) {
  return list_volumes(std::move(pool), d);
}
Task<Result<std::optional<dpu::DpuVolume>>> FakeDpu::find_volume(PoolId pool, std::string name, Deadline) {
  return step("find_volume name", [&c = card_, pool, name] {
    Lvol* l = c.by_name(pool.value, name);
    return Result<std::optional<dpu::DpuVolume>>(l == nullptr ? std::nullopt
                                                              : std::optional(describe(c, *l)));
  });
}
Task<Result<std::optional<dpu::DpuVolume>>> FakeDpu::find_volume(DpuVolumeId id, Deadline) {
  return step("find_volume id", [&c = card_, id] {
    auto it = c.lvols.find(id.value);
    return Result<std::optional<dpu::DpuVolume>>(
        it == c.lvols.end() ? std::nullopt : std::optional(describe(c, it->second)));
  });
}

Result<DpuVolumeId> FakeDpu::add(Card& c, const std::string& pool, const std::string& name, Bytes size,
                                 bool thin, std::string parent, std::string content) {
  if (name.empty() || name.size() > 63) return fail(Errc::invalid_argument, "bad name");
  if (c.by_name(pool, name) != nullptr) return fail(Errc::already_exists, "File exists");
  Lvol l;
  l.info.id = DpuVolumeId(random_uuid());
  l.info.name = name;
  l.info.pool = PoolId(pool);
  l.info.size = round_up(size, c.cluster);
  l.info.thin = thin;
  l.info.allocated = thin ? Bytes{0} : l.info.size;
  l.info.parent = std::move(parent);
  l.content = std::move(content);
  DpuVolumeId id = l.info.id;
  c.lvols[id.value] = std::move(l);
  return id;
}

Task<Result<DpuVolumeId>> FakeDpu::create_volume(dpu::CreateVolume order, Deadline) {
  return mutate("create_volume", order.pool.value, [&c = card_, order]() -> Result<DpuVolumeId> {
    auto pool = c.pools.find(order.pool.value);
    if (pool == c.pools.end()) return fail(Errc::not_found, "no such pool");
    if (!order.thin && order.size > pool->second.free) return fail(Errc::no_space, "No space left on device");
    auto made = add(c, order.pool.value, order.name, order.size, order.thin, "", "");
    if (made && !order.thin) pool->second.free = pool->second.free - order.size;
    return made;
  });
}
Task<Result<DpuVolumeId>> FakeDpu::snapshot_volume(DpuVolumeId source, std::string name, Deadline) {
  std::string pool = card_.lvols.contains(source.value) ? card_.lvols[source.value].info.pool.value : "";
  return mutate("snapshot_volume", pool, [&c = card_, source, name, pool]() -> Result<DpuVolumeId> {
    auto it = c.lvols.find(source.value);
    if (it == c.lvols.end()) return fail(Errc::not_found, "No such device");
    if (it->second.info.snapshot) return fail(Errc::invalid_argument, "Invalid argument");
    auto made = add(c, pool, name, it->second.info.size, true, it->second.info.parent, it->second.content);
    if (!made) return made;
    Lvol& snap = c.lvols[made->value];
    snap.info.snapshot = true;
    snap.info.allocated = it->second.info.allocated;
    it->second.info.parent = name;
    it->second.info.thin = true;
    it->second.info.allocated = Bytes{0};
    return made;
  });
}
Task<Result<DpuVolumeId>> FakeDpu::clone_volume(DpuVolumeId source, std::string name, Deadline) {
  std::string pool = card_.lvols.contains(source.value) ? card_.lvols[source.value].info.pool.value : "";
  return mutate("clone_volume", pool, [&c = card_, source, name, pool]() -> Result<DpuVolumeId> {
    auto it = c.lvols.find(source.value);
    if (it == c.lvols.end()) return fail(Errc::not_found, "No such device");
    if (!it->second.info.snapshot) return fail(Errc::invalid_argument, "Invalid argument");
    return add(c, pool, name, it->second.info.size, true, it->second.info.name, it->second.content);
  });
}
Task<Result<void>> FakeDpu::resize_volume(DpuVolumeId id, Bytes size, Deadline) {
  std::string pool = card_.lvols.contains(id.value) ? card_.lvols[id.value].info.pool.value : "";
  return mutate("resize_volume", pool, [&c = card_, id, size]() -> Result<void> {
    auto it = c.lvols.find(id.value);
    if (it == c.lvols.end()) return fail(Errc::not_found, "No such device");
    if (size < it->second.info.size) ++c.shrinks;
    it->second.info.size = round_up(size, c.cluster);
    return {};
  });
}
Task<Result<void>> FakeDpu::shrink_volume(DpuVolumeId id, Bytes size, Deadline) {
  std::string pool = card_.lvols.contains(id.value) ? card_.lvols[id.value].info.pool.value : "";
  if (card_.slow_cut > MonoClock::duration{}) co_await service::pause_for(card_.slow_cut);
  // Named: g++ 12 destroys it twice as a temporary of the co_await expression.
  auto effect = [&c = card_, id, size]() -> Result<void> {
    auto it = c.lvols.find(id.value);
    if (it == c.lvols.end()) return fail(Errc::not_found, "No such device");
    if (it->second.info.snapshot) return fail(Errc::not_permitted, "Operation not permitted");
    dpu::DpuVolume& v = it->second.info;
    if (!v.name.starts_with("vnvme-trash.")) ++c.shrinks;
    for (const auto& e : c.exposures)
      if (e.target == id.value) ++c.deletes_while_exposed;
    if (size < v.size) ++c.cuts;
    v.size = std::min(v.size, round_up(size, c.cluster));
    if (v.allocated) v.allocated = std::min(*v.allocated, v.size);
    return {};
  };
  co_return co_await mutate("shrink_volume", std::move(pool), effect);
}
Task<Result<void>> FakeDpu::rename_volume(DpuVolumeId id, std::string name, Deadline) {
  std::string pool = card_.lvols.contains(id.value) ? card_.lvols[id.value].info.pool.value : "";
  return mutate("rename_volume", pool, [&c = card_, id, name, pool]() -> Result<void> {
    auto it = c.lvols.find(id.value);
    if (it == c.lvols.end()) return fail(Errc::not_found, "No such device");
    if (c.by_name(pool, name) != nullptr) return fail(Errc::already_exists, "File exists");
    for (auto& [other, l] : c.lvols)
      if (l.info.parent == it->second.info.name) l.info.parent = name;
    it->second.info.name = name;
    return {};
  });
}
Task<Result<void>> FakeDpu::delete_volume(DpuVolumeId id, Deadline) {
  std::string pool = card_.lvols.contains(id.value) ? card_.lvols[id.value].info.pool.value : "";
  return mutate("delete_volume", pool, [&c = card_, id]() -> Result<void> {
    auto it = c.lvols.find(id.value);
    if (it == c.lvols.end()) return fail(Errc::not_found, "No such device");
    if (describe(c, it->second).children.size() > 1)
      return fail(Errc::not_permitted, "Operation not permitted");
    for (const auto& e : c.exposures)
      if (e.target == id.value) ++c.deletes_while_exposed;
    for (auto& [other, l] : c.lvols)
      if (l.info.parent == it->second.info.name) l.info.parent = it->second.info.parent;
    std::erase_if(c.exposures, [&](const dpu::Exposure& e) { return e.target == id.value; });
    c.lvols.erase(it);
    return {};
  });
}
Task<Result<void>> FakeDpu::set_read_only(DpuVolumeId, Deadline) {
  return step("set_read_only", [] { return Result<void>{}; });
}
Task<Result<void>> FakeDpu::inflate_volume(DpuVolumeId, Deadline) {
  return step("inflate", [] { return Result<void>{}; });
}
Task<Result<void>> FakeDpu::decouple_volume(DpuVolumeId, Deadline) {
  return step("decouple", [] { return Result<void>{}; });
}
Task<Result<void>> FakeDpu::set_qos(DpuVolumeId, std::uint64_t, std::uint64_t, Deadline) {
  return step("set_qos", [] { return Result<void>{}; });
}
Task<Result<dpu::IoStat>> FakeDpu::io_stat(DpuVolumeId id, Deadline) {
  return step("io_stat", [&c = card_, id] { return Result<dpu::IoStat>(c.io[id.value]); });
}

Task<Result<std::vector<dpu::Function>>> FakeDpu::list_functions(Deadline) {
  return step("list_functions", [&c = card_] {
    std::vector<dpu::Function> out;
    for (const auto& [id, f] : c.functions) out.push_back(f);
    return Result<std::vector<dpu::Function>>(out);
  });
}
Task<Result<dpu::Function>> FakeDpu::open_function(std::string serial, Deadline, FunctionId preferred) {
  return step("open_function", [&c = card_, serial, preferred]() -> Result<dpu::Function> {
    for (auto& [id, f] : c.functions)
      if (f.serial == serial) return f.ready = true, f;
    if (auto it = c.functions.find(preferred.value); it != c.functions.end() && it->second.serial.empty()) {
      it->second.ready = true;
      it->second.serial = serial;
      return it->second;
    }
    for (auto& [id, f] : c.functions) {
      if (f.ready || f.foreign || !f.serial.empty()) continue;
      f.ready = true;
      f.serial = serial;
      return f;
    }
    if (c.functions.size() >= c.most_functions)
      return fail(Errc::no_space, "no function is free",
                  c.half_made_when_full ? Outcome::unknown : Outcome::not_done);
    std::string n = std::to_string(c.functions.size());
    // A place has the same id again after the whole card was restarted.
    bool known = !preferred.empty() && !c.functions.contains(preferred.value);
    dpu::Function f{
        known ? preferred : FunctionId("F" + n), "0000:26:01." + n, serial, false, true, true, false};
    return c.functions[f.id.value] = f;
  });
}
Task<Result<void>> FakeDpu::close_function(FunctionId id, Deadline) {
  return step("close_function", [&c = card_, id]() -> Result<void> {
    for (const auto& e : c.exposures)
      if (e.function == id) return fail(Errc::in_use, "has namespaces");
    auto it = c.functions.find(id.value);
    if (it != c.functions.end()) it->second.ready = false, it->second.serial.clear();
    return {};
  });
}
Task<Result<std::vector<dpu::Exposure>>> FakeDpu::list_exposures(Deadline) {
  return step("list_exposures", [&c = card_] { return Result<std::vector<dpu::Exposure>>(c.exposures); });
}
Task<Result<void>> FakeDpu::expose(dpu::Expose order, Deadline) {
  return step("expose", [&c = card_, order]() -> Result<void> {
    for (const auto& e : c.exposures) {
      if (e.function == order.function && e.nsid == order.nsid && e.target == order.target) return {};
      if (e.target == order.target || (e.function == order.function && e.nsid == order.nsid))
        return fail(Errc::conflict, "Invalid parameters");
    }
    c.exposures.push_back({order.function, order.nsid, order.target, order.uuid, false});
    return {};
  });
}
Task<Result<void>> FakeDpu::unexpose(FunctionId function, std::uint32_t nsid, Deadline) {
  return step("unexpose", [&c = card_, function, nsid]() -> Result<void> {
    std::erase_if(c.exposures,
                  [&](const dpu::Exposure& e) { return e.function == function && e.nsid == nsid; });
    return {};
  });
}

}  // namespace vnvme::test
