// What people are told about, and what is only not known at the moment.
#include "model/trouble.hpp"

#include "unit/model/pool_fixture.hpp"

namespace vnvme::model {
namespace {

class Trouble : public PoolFixture {
 protected:
  Observed volumes;
  DpusSeen dpus;
  Notices known;

  void SetUp() override {
    PoolFixture::SetUp();
    DpuSeen& seen = dpus[dpu];
    seen.name = "dpu0";
    seen.ready = true;
    seen.raids.emplace();
    PoolSeen& pool = seen.pools[PoolId("pool")];
    pool.pool.id = PoolId("pool");
    pool.pool.total = GiB(100);
    pool.pool.free = GiB(60);
    pool.volumes = &volumes;
  }
  void with_raid(const std::string& state, std::uint32_t working) {
    SrRecord record = *world.sr(sr);
    record.raid_name = "vnvme-raid.1";
    world.apply(Put<SrRecord>{record});
    dpu::Raid raid;
    raid.name = "vnvme-raid.1";
    raid.level = "raid1";
    raid.state = state;
    raid.members = 2;
    raid.working = working;
    dpus[dpu].raids = {raid};
  }
  void on_dpu(const std::string& id, const std::string& name) { volumes[id].name = name; }
  void full(double percent) {
    dpus[dpu].pools[PoolId("pool")].pool.free =
        Bytes{static_cast<std::uint64_t>(static_cast<double>(GiB(100).value) * (100 - percent) / 100)};
  }
  Troubles look() { return find_troubles(picture, world, dpus, known); }
  std::vector<Topic> found() {
    std::vector<Topic> out;
    for (const Notice& n : look().found) out.push_back(n.topic);
    return out;
  }
  bool unknown(Topic topic) {
    auto seen = look();
    return std::any_of(seen.unknown.begin(), seen.unknown.end(),
                       [&](const auto& key) { return key.first == topic; });
  }
  using Topics = std::vector<Topic>;
};

TEST_F(Trouble, NoneWhenAllIsWell) {
  disk("a", "d");
  on_dpu("lvol-d", "vnvme.6c84b44ca61b41a48b1932ab643b57d9.d");
  reserve("a", "pf0vf2");
  attach("a", "d", AttachState::active);
  vm("a").power_state = xapi::PowerState::running;
  vm("a").resident_on = xapi::Ref("here");
  with_raid("online", 2);
  auto seen = look();
  EXPECT_TRUE(seen.found.empty());
  EXPECT_TRUE(seen.unknown.empty());
}

TEST_F(Trouble, ARaidThatLacksADrive) {
  with_raid("online", 1);
  auto seen = look();
  ASSERT_EQ(found(), (Topics{Topic::pool_degraded}));
  EXPECT_EQ(seen.found[0].rank, 1);
  EXPECT_EQ(seen.found[0].object, "SR " + sr.value);
  EXPECT_EQ(seen.found[0].text,
            "the raid1 below SR " + sr.value + " (fast) has 1 of 2 drives at work and is online");
  dpus[dpu].raids->front().rebuild_percent = 41.7;
  EXPECT_TRUE(look().found[0].text.ends_with("rebuilt to 41 %"));
  with_raid("offline", 0);
  EXPECT_EQ(look().found[0].rank, 2) << "worse is news";
  dpus[dpu].raids.reset();
  EXPECT_TRUE(found().empty());
  EXPECT_TRUE(unknown(Topic::pool_degraded)) << "not asked is not healthy";
}

TEST_F(Trouble, ARaidThatIsGoneIsToldAsItsPool) {
  with_raid("online", 1);
  dpus[dpu].raids->front().name = "another";
  EXPECT_TRUE(found().empty());
}

TEST_F(Trouble, APoolThatFills) {
  for (auto [percent, rank] : std::vector<std::pair<double, int>>{{50, 0}, {80, 80}, {92, 90}, {97, 95}}) {
    full(percent);
    auto seen = look();
    EXPECT_EQ(seen.found.empty() ? 0 : seen.found[0].rank, rank) << percent;
  }
  known.raise({Topic::pool_filling, "SR " + sr.value, "full", 95}, Seconds(1));
  full(91);
  EXPECT_EQ(look().found[0].rank, 95) << "hysteresis";
  SrRecord record = *world.sr(sr);
  record.provisioning = Provisioning::thick;
  world.apply(Put<SrRecord>{record});
  full(99);
  EXPECT_TRUE(found().empty()) << "a thick pool may be full";
}

TEST_F(Trouble, APoolThatIsGone) {
  dpus[dpu].pools.clear();
  EXPECT_EQ(found(), (Topics{Topic::pool_missing}));
  EXPECT_TRUE(unknown(Topic::pool_filling));
  EXPECT_TRUE(unknown(Topic::volumes_missing));
}

TEST_F(Trouble, ADpuThatIsAwayHidesTheRest) {
  dpus[dpu].ready = false;
  dpus[dpu].trouble = "connection refused";
  disk("a", "d");
  with_raid("online", 1);
  full(99);
  auto seen = look();
  ASSERT_EQ(found(), (Topics{Topic::dpu_lost}));
  EXPECT_EQ(seen.found[0].text, "DPU dpu0 cannot be reached: connection refused");
  for (Topic t : {Topic::pool_missing, Topic::pool_degraded, Topic::pool_filling, Topic::volumes_missing,
                  Topic::foreign_volumes, Topic::no_function})
    EXPECT_TRUE(unknown(t)) << static_cast<int>(t);
  dpus.clear();
  EXPECT_TRUE(found().empty());
  EXPECT_TRUE(unknown(Topic::pool_missing)) << "a DPU that nobody has looked at";
}

TEST_F(Trouble, VolumesThatAreMissingOrStrangers) {
  vdi("d");
  EXPECT_EQ(found(), (Topics{Topic::volumes_missing}));
  dpus[dpu].pools[PoolId("pool")].certain = false;
  EXPECT_TRUE(found().empty());
  EXPECT_TRUE(unknown(Topic::volumes_missing)) << "the list is older than the volume";
  dpus[dpu].pools[PoolId("pool")].certain = true;
  world.apply(Put<IntentRecord>{{7, IntentKind::revert, sr, VolumeId("d"), {}, {}}});
  EXPECT_TRUE(found().empty()) << "it is being worked on";
  world.apply(EraseIntent{7});
  on_dpu("lvol-d", "a name of the DPU's own");
  EXPECT_TRUE(found().empty()) << "known by its id";
  on_dpu("lvol-x", "somebody's");
  on_dpu("lvol-y", "vnvme-trash.6c84b44ca61b41a48b1932ab643b57d9");
  auto seen = look();
  ASSERT_EQ(found(), (Topics{Topic::foreign_volumes}));
  EXPECT_TRUE(seen.found[0].text.starts_with("1 volume(s)")) << seen.found[0].text;
}

TEST_F(Trouble, StrangersAreCountedUpToABound) {
  for (int n = 0; n < 300; ++n) on_dpu("lvol-" + std::to_string(n), "somebody's");
  auto seen = look();
  ASSERT_EQ(found(), (Topics{Topic::foreign_volumes}));
  EXPECT_TRUE(seen.found[0].text.starts_with("100 volume(s)")) << seen.found[0].text;
}

TEST_F(Trouble, AVolumeThatIsNotReadyIsNotMissed) {
  vdi("d");
  VolumeRecord v = *world.volume(VolumeId("d"));
  v.state = VolumeState::trash;
  world.apply(Put<VolumeRecord>{v});
  EXPECT_TRUE(found().empty());
  v.state = VolumeState::ready;
  v.dpu_id = {};
  world.apply(Put<VolumeRecord>{v});
  EXPECT_TRUE(found().empty()) << "it never was on the DPU";
}

TEST_F(Trouble, ADpuThatSaysNotWhyItIsAway) {
  dpus[dpu].ready = false;
  EXPECT_EQ(look().found.at(0).text, "DPU dpu0 cannot be reached");
}

TEST_F(Trouble, NoVmIsToldAboutWhileTheHostIsNotKnown) {
  disk("a", "d");
  on_dpu("lvol-d", "vnvme.6c84b44ca61b41a48b1932ab643b57d9.d");
  picture.pbds.clear();
  EXPECT_TRUE(found().empty());
}

TEST_F(Trouble, RecordsThatWereLost) {
  SrRecord record = *world.sr(sr);
  record.adopted = true;
  world.apply(Put<SrRecord>{record});
  EXPECT_EQ(found(), (Topics{Topic::records_lost}));
  record.state = SrState::destroying;
  world.apply(Put<SrRecord>{record});
  EXPECT_TRUE(found().empty()) << "it is on its way out";
}

TEST_F(Trouble, AVmWithoutAFunction) {
  disk("a", "d");
  on_dpu("lvol-d", "vnvme.6c84b44ca61b41a48b1932ab643b57d9.d");
  vm("a").name_label = "web\n1";
  auto seen = look();
  ASSERT_EQ(found(), (Topics{Topic::no_function}));
  EXPECT_EQ(seen.found[0].object, "VM a");
  EXPECT_NE(seen.found[0].text.find("web\\n1"), std::string::npos) << seen.found[0].text;
  reserve("a", "");
  EXPECT_EQ(found(), (Topics{Topic::no_function})) << "a reservation that was interrupted";
  reserve("a", "pf0vf2");
  EXPECT_TRUE(found().empty());
  for (auto flag : {&xapi::Vm::is_a_snapshot, &xapi::Vm::is_a_template, &xapi::Vm::is_default_template}) {
    vm("t").*flag = true;
    disk("t", "d");
    EXPECT_TRUE(found().empty());
    vm("t").*flag = false;
  }
}

TEST_F(Trouble, ARunningVmInTheUserdeviceTrap) {
  on_dpu("lvol-d", "vnvme.6c84b44ca61b41a48b1932ab643b57d9.d");
  reserve("a", "pf0vf2");
  struct Case {
    std::string number, type;
    xapi::PowerState power;
    bool told;
  };
  using enum xapi::PowerState;
  for (const Case& c : std::vector<Case>{Case{"0", "hvm", running, true},
                                         {"3", "hvm", paused, true},
                                         {"3", "", running, true},
                                         {"4", "hvm", running, false},
                                         {"10", "hvm", running, false},
                                         {"x", "hvm", running, false},
                                         {"", "hvm", running, false},
                                         {"0", "hvm", halted, false},
                                         {"+", "hvm", running, false},
                                         {"0", "pv_in_pvh", running, false},
                                         {"0", "pv", running, false}}) {
    disk("a", "d").userdevice = c.number;
    vm("a").domain_type = c.type;
    vm("a").power_state = c.power;
    vm("a").resident_on = xapi::Ref("here");
    EXPECT_EQ(found(), c.told ? Topics{Topic::userdevice_trap} : Topics{}) << c.number << " " << c.type;
  }
}

TEST_F(Trouble, AGuestThatGoesOnUsingWhatWasUnplugged) {
  on_dpu("lvol-d", "vnvme.6c84b44ca61b41a48b1932ab643b57d9.d");
  vdi("d");
  vm("a").power_state = xapi::PowerState::running;
  vm("a").resident_on = xapi::Ref("here");
  attach("a", "d", AttachState::releasing);
  auto seen = look();
  ASSERT_EQ(found(), (Topics{Topic::still_in_use}));
  EXPECT_EQ(seen.found[0].object, "volume d");
  vm("a").power_state = xapi::PowerState::halted;
  EXPECT_TRUE(found().empty());
  picture.vms.erase(xapi::Ref("a"));
  EXPECT_TRUE(found().empty());
}

TEST_F(Trouble, WhatIsUnpluggedOnADpuThatIsAwayIsNotKnown) {
  vm("a").power_state = xapi::PowerState::running;
  vm("a").resident_on = xapi::Ref("here");
  attach("a", "lost", AttachState::releasing);  // of a volume without a record
  attach(kDom0, "d", AttachState::releasing);   // dom0 is no guest
  auto seen = look();
  ASSERT_EQ(found(), (Topics{Topic::still_in_use}));
  EXPECT_TRUE(seen.found[0].text.starts_with("volume lost was unplugged")) << seen.found[0].text;
  dpus[dpu].ready = false;
  EXPECT_TRUE(unknown(Topic::still_in_use));
}

TEST_F(Trouble, VmsOfOtherHostsAreTheirs) {
  disk("b", "far", "theirs").userdevice = "0";
  vm("b").power_state = xapi::PowerState::running;
  vm("b").resident_on = xapi::Ref("there");
  EXPECT_TRUE(found().empty());
}

}  // namespace
}  // namespace vnvme::model
