#include "support/rig.hpp"

#include "model/names.hpp"
#include "model/ownership.hpp"

namespace vnvme::test {
namespace {

class FakeBlock : public host::BlockDevice {
 public:
  FakeBlock(FaultPlan& plan, bool data) : plan_(plan), data_(data) {}
  Bytes size() const override { return GiB(64); }
  Task<Result<std::string>> read(std::uint64_t, std::size_t length, Deadline) override {
    // By value: an effect that comes late outlives the device.
    return run_step(plan_, "block read", [data = data_, length] {
      return Result<std::string>(std::string(length, data ? 'x' : '\0'));
    });
  }
  Task<Result<void>> write_zeroes(std::uint64_t, std::uint64_t, Deadline) override {
    return run_step(plan_, "block zero", [] { return Result<void>{}; });
  }
  Task<Result<void>> discard(std::uint64_t, std::uint64_t, Deadline) override {
    return run_step(plan_, "block discard", [] { return Result<void>{}; });
  }
  Task<Result<void>> write(std::uint64_t, std::string, Deadline) override {
    return run_step(plan_, "block write", [] { return Result<void>{}; });
  }
  Task<Result<void>> flush(Deadline) override {
    return run_step(plan_, "block flush", [] { return Result<void>{}; });
  }

 private:
  FaultPlan& plan_;
  bool data_;
};

}  // namespace

Task<Result<std::optional<host::PciFunction>>> FakePci::find(std::string bdf, Deadline) {
  return run_step(plan_, "pci find", [this, bdf] {
    return Result<std::optional<host::PciFunction>>(host::PciFunction{bdf, drivers[bdf]});
  });
}
Task<Result<void>> FakePci::bind_pciback(std::string bdf, Deadline) {
  return run_step(plan_, "pci bind_pciback", [this, bdf] {
    drivers[bdf] = "pciback";
    return Result<void>{};
  });
}
Task<Result<void>> FakePci::bind_nvme(std::string bdf, Deadline) {
  return run_step(plan_, "pci bind_nvme", [this, bdf] {
    drivers[bdf] = "nvme";
    return Result<void>{};
  });
}
Task<Result<std::string>> FakePci::block_device(std::string, std::string uuid, Deadline) {
  return run_step(plan_, "pci block_device", [uuid] { return Result<std::string>("/dev/fake-" + uuid); });
}
Task<Result<std::optional<VmId>>> FakeDomains::vm_of(std::uint32_t domid, Deadline) {
  return run_step(plan_, "domains vm_of", [this, domid] {
    auto it = running.find(domid);
    return Result<std::optional<VmId>>(it == running.end() ? std::nullopt : std::optional(it->second));
  });
}
Task<Result<std::vector<std::uint32_t>>> FakeDomains::domains_of(VmId vm, Deadline) {
  return run_step(plan_, "domains_of", [this, vm] {
    std::vector<std::uint32_t> out;
    for (const auto& [domid, owner] : running)
      if (owner == vm) out.push_back(domid);
    return Result<std::vector<std::uint32_t>>(out);
  });
}
Task<Result<std::unique_ptr<host::BlockDevice>>> FakeBlocks::open(std::string, Deadline) {
  return run_step(plan_, "block open", [this] {
    return Result<std::unique_ptr<host::BlockDevice>>(std::make_unique<FakeBlock>(plan_, drives_hold_data));
  });
}

Task<Result<void>> FaultyStore::commit(std::vector<Change> changes) {
  // The memory store takes effect at once and answers later; the step wraps both.
  std::optional<Result<void>> answer;
  auto stepped = co_await run_step(plan_, "commit", [] { return Result<void>{}; });
  if (!stepped && stepped.error().outcome == Outcome::not_done) co_return fail(Errc::io, "the disk is full");
  if (!stepped)
    co_return fail(Errc::io, "the disk is gone");  // a commit is never "unknown": the store says not_done
  auto stored = co_await store_.commit(std::move(changes));
  auto after = co_await run_step(plan_, "commit done", [] { return Result<void>{}; });
  (void)after;  // only a crash matters here
  co_return stored;
}

Rig::Rig(std::size_t drives) : card(drives) {
  MonoClock::take_over();
  boot();
}

Rig::~Rig() {
  crash();
  MonoClock::release();
}

void Rig::boot() {
  plan.revive();
  io = std::make_unique<boost::asio::io_context>(1);
  service::Options options;
  options.dpu_names["dpu0"] = DpuId("fake:");
  options.spare_functions = spare_functions;
  options.wipe_piece = wipe_piece;
  service::Ports ports{io->get_executor(), store, pci, domains, blocks, events, [this](const DpuId&) {
                         std::unique_ptr<dpu::Dpu> made = std::make_unique<FakeDpu>(card, plan);
                         if (family) made = family(*io, std::move(made));
                         return Result<std::unique_ptr<dpu::Dpu>>(std::move(made));
                       }};
  if (with_xapi) {
    xapi.forget();
    ports.xapi = &xapi;
    ports.watch = &xapi;
  }
  services = std::make_unique<service::Services>(std::move(ports), std::move(options));
  auto started = run<Result<void>>([this] { return services->start(); });
  if (started && !*started) ADD_FAILURE() << started->error().describe();
}

void Rig::crash() {
  io.reset();  // the frames first: they hold lanes and read the services
  services.reset();
  card.in_flight.clear();
}

void Rig::advance(MonoClock::duration by, MonoClock::duration tick) {
  auto end = MonoClock::now() + by;
  while (MonoClock::now() < end && !plan.crashed()) {
    io->restart();
    if (io->poll() == 0) MonoClock::advance(tick);
  }
  if (plan.crashed()) crash();
}

bool Rig::settle(MonoClock::duration most) {
  auto end = MonoClock::now() + most;
  while (MonoClock::now() < end) {
    advance(std::chrono::milliseconds(200));
    if (!services) return false;
    const auto& world = services->core().world;
    bool trash = std::any_of(world.volumes().begin(), world.volumes().end(), [](const auto& v) {
      return v.second.state != VolumeState::ready || v.second.rename_pending;
    });
    bool releasing = std::any_of(world.attachments().begin(), world.attachments().end(),
                                 [](const auto& a) { return a.second.state == AttachState::releasing; });
    bool ready = std::all_of(services->core().links().begin(), services->core().links().end(),
                             [](const auto& l) { return l.second->is_ready(); });
    if (ready && !services->core().sweep_soon && world.intents().empty() && !trash && !releasing &&
        services->core().pending.empty()) {
      // Something that nobody wants is there: the next sweep must find it.
      bool swept = card.exposures.size() == world.attachments().size();
      advance(swept ? std::chrono::seconds(1) : std::chrono::seconds(45));
      return true;
    }
  }
  return false;
}

smapi::Context Rig::context(std::string method, std::string request) {
  if (request.empty()) request = random_uuid();
  return smapi::Context{RequestId(request), std::move(method), "vnvme",
                        Deadline::after(std::chrono::seconds(58))};
}

std::optional<Result<SrId>> Rig::make_sr(const std::string& key, const std::string& value) {
  smapi::Strings config{{"dpu", "dpu0"}, {"drives", "S0"}};
  if (!key.empty()) config[key] = value;
  auto made = run<Result<smapi::Strings>>(
      [this, config] { return services->sr_create(context("SR.create"), sr, config, "my sr", "d"); });
  if (!made) return std::nullopt;
  if (!*made) return Result<SrId>(fail(std::move(made->error())));
  return run<Result<SrId>>([this, &made] { return services->sr_attach(context("SR.attach"), **made); });
}

std::optional<Result<smapi::Volume>> Rig::with_word(smapi::Context c,
                                                    std::function<Task<Result<smapi::Volume>>()> call) {
  auto made = run<Result<smapi::Volume>>(std::move(call));
  if (!made || !*made) return made;
  auto word = run<Result<void>>([this, c] { return services->printing(c, "{}"); });
  if (!word) return std::nullopt;
  if (!*word) return Result<smapi::Volume>(fail(std::move(word->error())));
  return made;
}

std::optional<Result<smapi::Volume>> Rig::create(std::string name, Bytes size, std::string request) {
  auto c = context("Volume.create", std::move(request));
  return with_word(c,
                   [this, c, name, size] { return services->volume_create(c, sr, name, "d", size, false); });
}
std::optional<Result<smapi::Volume>> Rig::snapshot(VolumeId v, std::string request) {
  auto c = context("Volume.snapshot", std::move(request));
  return with_word(c, [this, c, v] { return services->volume_snapshot(c, sr, v); });
}
std::optional<Result<smapi::Volume>> Rig::clone(VolumeId v, std::string request) {
  auto c = context("Volume.clone", std::move(request));
  return with_word(c, [this, c, v] { return services->volume_clone(c, sr, v); });
}
std::optional<Result<void>> Rig::destroy(VolumeId v) {
  return run<Result<void>>([this, v] { return services->volume_destroy(context("Volume.destroy"), sr, v); });
}
std::optional<Result<void>> Rig::reserve(const VmId& id) {
  auto answer = run<Result<nlohmann::json>>([this, id] {
    return services->admin("reserve", nlohmann::json{{"vm", id.value}},
                           Deadline::after(std::chrono::seconds(30)));
  });
  if (!answer) return std::nullopt;
  if (!*answer) return Result<void>(fail(std::move(answer->error())));
  return Result<void>{};
}
std::optional<Result<smapi::Backend>> Rig::attach(VolumeId v, std::string domain) {
  return run<Result<smapi::Backend>>(
      [this, v, domain] { return services->datapath_attach(context("Datapath.attach"), uri(v), domain); });
}
std::optional<Result<void>> Rig::activate(VolumeId v, std::string domain, bool read_only) {
  return run<Result<void>>([this, v, domain, read_only] {
    return services->datapath_activate(context("Datapath.activate"), uri(v), domain, read_only);
  });
}
std::optional<Result<void>> Rig::release(VolumeId v, std::string domain) {
  return run<Result<void>>([this, v, domain] {
    return services->datapath_deactivate(context("Datapath.deactivate"), uri(v), domain);
  });
}

Lvol* Rig::lvol(const VolumeId& v) {
  const VolumeRecord* record = services->core().world.volume(v);
  if (record == nullptr) return nullptr;
  auto it = card.lvols.find(record->dpu_id.value);
  return it == card.lvols.end() ? nullptr : &it->second;
}

void Rig::check_volumes(const Snapshot& now, const std::string& where) {
  std::set<std::string> known;
  for (const auto& v : now.volumes) {
    EXPECT_EQ(static_cast<int>(v.state), static_cast<int>(VolumeState::ready))
        << where << ": volume " << v.id.value;
    if (v.dpu_id.empty()) {
      EXPECT_EQ(v.size.value, 0u) << where << ": only a volume of 0 bytes has no lvol";
      continue;
    }
    known.insert(v.dpu_id.value);
    auto it = card.lvols.find(v.dpu_id.value);
    if (it == card.lvols.end()) {
      ADD_FAILURE() << where << ": volume " << v.id.value << " is not on the DPU";
      continue;
    }
    EXPECT_EQ(it->second.info.size, v.size) << where;
    auto own = model::parse_name(it->second.info.name);
    ASSERT_TRUE(own) << where << ": " << it->second.info.name;
    EXPECT_EQ(own->id, v.id) << where;
    EXPECT_EQ(own->kind == model::NameKind::base, v.kind == VolumeKind::base) << where;
  }
  for (const auto& [id, l] : card.lvols)
    EXPECT_TRUE(known.contains(id)) << where << ": lvol " << l.info.name << " is leaked";
}

void Rig::check_exposures(const Snapshot& now, const std::string& where) {
  std::map<std::string, std::string> lvol_of;
  for (const auto& v : now.volumes) lvol_of[v.id.value] = v.dpu_id.value;
  for (const auto& a : now.attachments) {
    bool there = std::any_of(card.exposures.begin(), card.exposures.end(), [&](const dpu::Exposure& e) {
      return e.function == a.function && e.nsid == a.nsid && e.target == lvol_of[a.volume.value];
    });
    EXPECT_TRUE(there) << where << ": attachment of " << a.volume.value << " is not exposed";
  }
  EXPECT_EQ(card.exposures.size(), now.attachments.size()) << where << ": an exposure is leaked";
  for (const auto& [id, f] : card.functions) {
    if (f.serial.empty() || f.serial == model::kDom0Serial) continue;
    bool reserved = std::any_of(now.reservations.begin(), now.reservations.end(),
                                [&f = f](const auto& r) { return r.serial == f.serial; });
    EXPECT_TRUE(reserved) << where << ": function " << id << " is leaked";
  }
}

void Rig::check(const std::string& where) {
  Snapshot now = memory.contents();
  EXPECT_TRUE(now.intents.empty()) << where << ": an intent is open";
  check_volumes(now, where);
  check_exposures(now, where);
  for (const auto& s : now.srs) {
    EXPECT_EQ(static_cast<int>(s.state), static_cast<int>(SrState::ready)) << where;
    EXPECT_TRUE(card.pools.contains(s.pool.value)) << where;
  }
  EXPECT_EQ(card.pools.size(), now.srs.size()) << where << ": a pool is leaked";
  EXPECT_EQ(card.deletes_while_exposed, 0u) << where;
  EXPECT_EQ(card.shrinks, 0u) << where;
  EXPECT_EQ(card.overlapping, 0u) << where << ": two mutations of one pool at once";
}

}  // namespace vnvme::test
