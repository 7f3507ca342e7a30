// What stands in other_config of VDIs and VMs: as it is, nothing more, nothing that is another's.
#include "model/publication.hpp"

#include "unit/model/pool_fixture.hpp"

namespace vnvme::model {
namespace {

class Publications : public PoolFixture {
 protected:
  std::vector<Publication> plan() { return plan_publications(picture, world, functions); }
  // Carries the plan out in the picture; answers how many objects were written.
  std::size_t carry_out() {
    auto all = plan();
    for (const Publication& p : all) {
      xapi::Map& map =
          p.cls == xapi::Class::vm ? picture.vms.at(p.ref).other_config : picture.vdis.at(p.ref).other_config;
      for (const auto& [key, value] : p.set) map[key] = value;
      for (const auto& key : p.remove) map.erase(key);
    }
    EXPECT_TRUE(plan().empty()) << "what was written is what was wanted";
    return all.size();
  }
};

TEST_F(Publications, ADriveIsDescribedWhileAVmHasIt) {
  struct Case {
    AttachState state;
    AttachMode mode;
    std::string text;
  };
  disk("a", "d");
  reserve("a", "pf0vf2");
  for (const Case& c : std::vector<Case>{Case{AttachState::attached, AttachMode::none, "attached"},
                                         {AttachState::active, AttachMode::read_write, "active"},
                                         {AttachState::active, AttachMode::read_only, "active-read-only"},
                                         {AttachState::releasing, AttachMode::none, "releasing"}}) {
    attach("a", "d", c.state, c.mode);
    carry_out();
    EXPECT_EQ(vdi("d").other_config,
              (xapi::Map{{"vnvme-state", c.text}, {"vnvme-serial", "S2"}, {"vnvme-bdf", "0000:81:00.2"}}));
  }
  world.apply(EraseAttachment{VolumeId("d"), owner_of_vm(VmId("a"))});
  EXPECT_EQ(carry_out(), 1u);
  EXPECT_TRUE(vdi("d").other_config.empty()) << "removed when no longer true";
}

TEST_F(Publications, AVmIsDescribedFromReservationToRelease) {
  xapi::Map& config = vm("a").other_config;
  config["mine"] = "stays";
  carry_out();
  EXPECT_EQ(config.size(), 1u) << "nothing of ours, nothing said";
  disk("a", "d");
  carry_out();
  EXPECT_EQ(config.at("vnvme-state"), "no-function");
  reserve("a", "pf0vf2");
  carry_out();
  EXPECT_EQ(config, (xapi::Map{{"mine", "stays"},
                               {"vnvme-host", "here"},
                               {"vnvme-state", "reserved"},
                               {"vnvme-serial", "S2"},
                               {"vnvme-functions", "0000:81:00.2"}}));
  attach("a", "d", AttachState::active);
  carry_out();
  EXPECT_EQ(config.at("vnvme-state"), "attached");
  world.apply(EraseAttachment{VolumeId("d"), owner_of_vm(VmId("a"))});
  world.apply(EraseReservation{VmId("a"), dpu});
  picture.vbds.clear();
  carry_out();
  EXPECT_EQ(config, (xapi::Map{{"mine", "stays"}}));
}

TEST_F(Publications, WhoseItIsIsWrittenFirstAndRemovedLast) {
  disk("a", "d");
  reserve("a", "pf0vf2");
  auto first = plan();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].set.front().first, "vnvme-host");
  carry_out();
  world.apply(EraseReservation{VmId("a"), dpu});
  picture.vbds.clear();
  auto last = plan();
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0].remove.back(), "vnvme-host");
}

TEST_F(Publications, AnAddressThatIsNotSeenIsLeftAsItIs) {
  disk("a", "d");
  reserve("a", "pf0vf2");
  attach("a", "d", AttachState::active);
  carry_out();
  functions.clear();  // the DPU is away
  EXPECT_TRUE(plan().empty());
  vdi("d").other_config.clear();
  vm("a").other_config.clear();
  carry_out();
  EXPECT_FALSE(vdi("d").other_config.contains("vnvme-bdf"));
  EXPECT_FALSE(vm("a").other_config.contains("vnvme-functions"));
  EXPECT_EQ(vdi("d").other_config.at("vnvme-serial"), "S2");
  functions["0000:99:00.0"] = {dpu, FunctionId("pf0vf2"), "S2"};  // it came back elsewhere
  carry_out();
  EXPECT_EQ(vdi("d").other_config.at("vnvme-bdf"), "0000:99:00.0");
  EXPECT_EQ(vm("a").other_config.at("vnvme-functions"), "0000:99:00.0");
}

TEST_F(Publications, ADriveWithoutAReservationHasNoSerial) {
  disk("a", "d");
  attach("a", "d", AttachState::active);  // by hand, or the reservation got lost
  carry_out();
  EXPECT_EQ(vdi("d").other_config, (xapi::Map{{"vnvme-state", "active"}, {"vnvme-bdf", "0000:81:00.2"}}));
}

TEST_F(Publications, AReservationThatWasInterruptedIsNoFunction) {
  disk("a", "d");
  reserve("a", "");
  carry_out();
  EXPECT_EQ(vm("a").other_config.at("vnvme-state"), "no-function");
}

TEST_F(Publications, AVdiWhoseSrIsNotKnownIsLeftAlone) {
  vdi("d").other_config = {{"vnvme-state", "active"}};
  vdi("d").SR = xapi::Ref("nowhere");
  EXPECT_TRUE(plan().empty());
}

TEST_F(Publications, CopiesLoseWhatIsTrueOfTheirSourceOnly) {
  disk("a", "d");
  reserve("a", "pf0vf2");
  attach("a", "d", AttachState::active);
  carry_out();
  for (auto flag : {&xapi::Vm::is_a_snapshot, &xapi::Vm::is_a_template, &xapi::Vm::is_default_template}) {
    xapi::Vm& copy = vm("copy");
    copy.*flag = true;
    copy.other_config = vm("a").other_config;
    disk("copy", "d-copy");
    vdi("d-copy").other_config = vdi("d").other_config;
    carry_out();
    EXPECT_TRUE(copy.other_config.empty());
    EXPECT_TRUE(vdi("d-copy").other_config.empty());
    copy.*flag = false;
  }
  vm("clone").other_config = vm("a").other_config;
  disk("clone", "d-clone");
  carry_out();
  EXPECT_EQ(vm("clone").other_config.at("vnvme-state"), "no-function");
  EXPECT_FALSE(vm("clone").other_config.contains("vnvme-serial"));
  EXPECT_EQ(vm("a").other_config.at("vnvme-state"), "attached");
}

TEST_F(Publications, KeysOfPeopleStay) {
  vdi("d").other_config = {{"vnvme-qos", "1000"}, {"vnvme-surprise", "true"}, {"vnvme-state", "old"}};
  vm("a").other_config = {{"vnvme-note", "x"}, {"vnvme-functions", "old"}};
  carry_out();
  EXPECT_EQ(vdi("d").other_config, (xapi::Map{{"vnvme-qos", "1000"}, {"vnvme-surprise", "true"}}));
  EXPECT_EQ(vm("a").other_config, (xapi::Map{{"vnvme-note", "x"}}));
}

TEST_F(Publications, Dom0IsNotTold) {
  vdi("d");
  attach(kDom0, "d", AttachState::active);
  EXPECT_TRUE(plan().empty());
}

TEST_F(Publications, AnotherHostsObjectsAreItsOwn) {
  const xapi::Map theirs{{"vnvme-host", "there"}, {"vnvme-state", "reserved"}};
  disk("b", "far", "theirs");
  vm("b").other_config = theirs;
  vdi("far", "theirs").other_config = {{"vnvme-state", "active"}};
  xapi::Vm& runs_there = vm("c");
  runs_there.power_state = xapi::PowerState::running;
  runs_there.resident_on = xapi::Ref("there");
  runs_there.other_config = theirs;
  vm("d").other_config = theirs;  // reserved there by hand, perhaps: no disk, no home
  EXPECT_TRUE(plan().empty());
  vm("d").other_config["vnvme-host"] = "gone";  // a host that left the pool
  EXPECT_EQ(carry_out(), 1u);
  EXPECT_TRUE(vm("d").other_config.empty());
}

TEST_F(Publications, AVmThatMovedIsTakenOverAndLetGo) {
  disk("a", "d");
  reserve("a", "pf0vf2");
  vm("a").other_config = {{"vnvme-host", "there"}, {"vnvme-state", "reserved"}, {"vnvme-functions", "x"}};
  carry_out();
  EXPECT_EQ(vm("a").other_config.at("vnvme-host"), "here") << "its drives are here";
  EXPECT_EQ(vm("a").other_config.at("vnvme-functions"), "0000:81:00.2");
  xapi::Vm& moved = vm("m");
  moved.power_state = xapi::PowerState::running;
  moved.resident_on = xapi::Ref("there");
  moved.other_config = {{"vnvme-host", "here"}, {"vnvme-state", "reserved"}};
  carry_out();
  EXPECT_TRUE(moved.other_config.empty()) << "what we wrote we take away";
}

TEST_F(Publications, APictureThatCannotBeBelievedSaysNothing) {
  disk("a", "d");
  picture.vms.erase(xapi::Ref("dom0"));
  EXPECT_TRUE(plan().empty());
  picture.vms.clear();
  picture.pbds.clear();
  EXPECT_TRUE(plan().empty()) << "which host is ours?";
}

}  // namespace
}  // namespace vnvme::model
