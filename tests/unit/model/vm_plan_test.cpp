// Who needs a function, whose list is wrong, what is blocked, what people are told.
#include "model/vm_plan.hpp"

#include <gtest/gtest.h>

#include "model/names.hpp"
#include "model/pci_list.hpp"

namespace vnvme::model {
namespace {

// ---- other_config:pci

TEST(PciList, IsReadAsXapiDoes) {
  auto list = parse_pci_list("1/0000:81:00.3,0/0000:81:00.2");
  EXPECT_EQ(list.bdfs, (std::vector<std::string>{"0000:81:00.2", "0000:81:00.3"}))
      << "in order of their numbers";
  EXPECT_TRUE(list.numbered);
  EXPECT_EQ(format_pci_list(list), "0/0000:81:00.2,1/0000:81:00.3");
  EXPECT_EQ(parse_pci_list("0/0000:AB:1F.7").bdfs[0], "0000:ab:1f.7");
  EXPECT_TRUE(parse_pci_list("").bdfs.empty());
}

TEST(PciList, ANumberIsDigitsThatFit) {
  for (const char* number : {"", "x", "1x", "-1", "99999999999999999999"}) {
    auto list = parse_pci_list(std::string(number) + "/0000:81:00.2");
    EXPECT_TRUE(list.bdfs.empty()) << number;
    EXPECT_EQ(list.unread.size(), 1u) << number;
  }
}

TEST(PciList, KeepsWhatXapiIgnores) {
  for (const std::string word :
       {"x", "0", "/0000:81:00.2", "0/", "a/0000:81:00.2", "0/0000:81:20.2", "0/0000:81:00.8",
        "0/0000:181:00.2", "0/0000:81:00.2x", "0/10000:81:00.2", "-1/0000:81:00.2"}) {
    auto list = parse_pci_list(word + ",5/0000:01:00.0");
    EXPECT_EQ(list.bdfs, (std::vector<std::string>{"0000:01:00.0"})) << word;
    EXPECT_EQ(list.unread, (std::vector<std::string>{word}));
    EXPECT_EQ(format_pci_list(list), "0/0000:01:00.0," + word);
  }
  EXPECT_TRUE(parse_pci_list(",,").unread.empty());
}

TEST(PciList, SeesNumbersAndFunctionsThatStandTwice) {
  EXPECT_FALSE(parse_pci_list("0/0000:81:00.2,0/0000:81:00.3").numbered);
  auto twice = parse_pci_list("0/0000:81:00.2,1/0000:81:00.2");
  EXPECT_FALSE(twice.numbered);
  EXPECT_EQ(twice.bdfs.size(), 1u);
}

TEST(PciList, IsBounded) {
  std::string many;
  for (int i = 0; i < 100000; ++i) many += std::to_string(i) + "/0000:81:00.2x,";
  auto list = parse_pci_list(many);
  EXPECT_LE(list.unread.size(), 256u);
}

std::optional<std::string> repaired(std::string_view now, const std::vector<std::string>& mine) {
  return repaired_pci_list(now, mine, [](const std::string& bdf) { return bdf.starts_with("0000:81:"); });
}

TEST(PciRepair, AddsOursAfterTheirs) {
  EXPECT_EQ(repaired("", {"0000:81:00.2"}), "0/0000:81:00.2");
  EXPECT_EQ(repaired("0/0000:01:00.0", {"0000:81:00.2"}), "0/0000:01:00.0,1/0000:81:00.2");
  EXPECT_EQ(repaired("junk,7/0000:01:00.0", {"0000:81:00.2"}), "0/0000:01:00.0,1/0000:81:00.2,junk");
}

TEST(PciRepair, LeavesWhatIsRight) {
  EXPECT_EQ(repaired("0/0000:81:00.2", {"0000:81:00.2"}), std::nullopt);
  EXPECT_EQ(repaired("3/0000:81:00.2,9/0000:01:00.0", {"0000:81:00.2"}), std::nullopt) << "compared as a set";
  EXPECT_EQ(repaired("0/0000:01:00.0,0/0000:02:00.0", {}), std::nullopt) << "not ours to number";
  EXPECT_EQ(repaired("", {}), std::nullopt);
}

TEST(PciRepair, NumbersAnewWhatXoWrote) {
  EXPECT_EQ(repaired("0/0000:01:00.0,0/0000:81:00.2", {"0000:81:00.2"}), "0/0000:01:00.0,1/0000:81:00.2");
}

TEST(PciRepair, TakesOutWhatIsAnotherVms) {
  EXPECT_EQ(repaired("0/0000:81:00.3", {}), "");
  EXPECT_EQ(repaired("0/0000:01:00.0,1/0000:81:00.3", {}), "0/0000:01:00.0");
  EXPECT_EQ(repaired("0/0000:81:00.3,1/0000:81:00.2", {"0000:81:00.2"}), "0/0000:81:00.2");
}

TEST(PciList, EachPartOfAnAddressMustBeThere) {
  const std::string whole = "0/0000:81:00.2";
  for (std::size_t n = 1; n < whole.size(); ++n)
    EXPECT_TRUE(parse_pci_list(whole.substr(0, n)).bdfs.empty()) << whole.substr(0, n);
  for (const char* word :
       {"0/g000:81:00.2", "0/0000-81:00.2", "0/0000:g1:00.2", "0/0000:81-00.2", "0/0000:81:g0.2",
        "0/0000:81:00-2", "0/0000:81:00.g", "99999999999999999999999/0000:81:00.2"})
    EXPECT_TRUE(parse_pci_list(word).bdfs.empty()) << word;
  EXPECT_EQ(parse_pci_list("0/0:1:2.3").bdfs[0], "0000:01:02.3") << "as XAPI reads it";
}

TEST(PciList, TakesNoMoreFunctionsThanADomainHasSlots) {
  std::string many;
  for (unsigned bus = 0; bus < 300; ++bus) {
    std::string digits{"0123456789abcdef"[bus >> 4 & 15], "0123456789abcdef"[bus & 15]};
    many += std::to_string(bus) + "/000" + (bus > 255 ? "1:" : "0:") + digits + ":00.0,";
  }
  EXPECT_EQ(parse_pci_list(many).bdfs.size(), 256u);
  EXPECT_EQ(parse_pci_list(many).unread.size(), 44u);
  EXPECT_EQ(format_pci_list(parse_pci_list("junk,more")), "junk,more") << "nothing before it";
}

// ---- plans

const DpuId kDpu("unix:/dpu");
const SrId kSr("11111111-2222-4333-8444-555555555555");

class Plan : public testing::Test {
 protected:
  xapi::Picture picture;
  World world;
  HostFunctions functions{{"0000:81:00.2", {kDpu, FunctionId("pf0vf2"), "S2"}},
                          {"0000:81:00.3", {kDpu, FunctionId("pf0vf3"), "S3"}}};
  std::set<VmId> by_hand;

  void SetUp() override {
    xapi::Vm dom0;
    dom0.ref = xapi::Ref("dom0");
    dom0.uuid = VmId("dom0");
    dom0.is_control_domain = true;
    picture.vms[dom0.ref] = dom0;
    SrRecord sr;
    sr.id = kSr;
    sr.dpu = kDpu;
    world.apply(Put<SrRecord>{sr});
    xapi::Sr theirs;
    theirs.ref = xapi::Ref("sr");
    theirs.uuid = kSr;
    picture.srs[theirs.ref] = theirs;
    for (const char* name : {"here", "there"}) {
      xapi::Host& host = picture.hosts[xapi::Ref(name)];
      host.ref = xapi::Ref(name);
      host.uuid = name;
    }
    xapi::Pbd& pbd = picture.pbds[xapi::Ref("pbd")];
    pbd.SR = theirs.ref;
    pbd.host = xapi::Ref("here");
    theirs.ref = xapi::Ref("other-sr");
    theirs.uuid = SrId("99999999-2222-4333-8444-555555555555");
    picture.srs[theirs.ref] = theirs;
  }
  xapi::Vm& vm(const std::string& name) {
    auto [at, fresh] = picture.vms.try_emplace(xapi::Ref(name));
    xapi::Vm& out = at->second;
    if (!fresh) return out;
    out.ref = xapi::Ref(name);
    out.uuid = VmId(name);
    out.domain_type = "hvm";
    return out;
  }
  xapi::Vbd& disk(const std::string& vm_name, const std::string& name, const std::string& sr = "sr") {
    xapi::Vdi& vdi = picture.vdis[xapi::Ref("vdi-" + name)];
    vdi.ref = xapi::Ref("vdi-" + name);
    vdi.SR = xapi::Ref(sr);
    xapi::Vbd& vbd = picture.vbds[xapi::Ref(name)];
    vbd.ref = xapi::Ref(name);
    vbd.uuid = name;
    vbd.VM = xapi::Ref(vm_name);
    vbd.VDI = vdi.ref;
    vbd.type = "Disk";
    vbd.userdevice = "4";
    return vbd;
  }
  void reserve(const std::string& vm_name, const std::string& function) {
    world.apply(Put<ReservationRecord>{{VmId(vm_name), kDpu, FunctionId(function), "S"}});
  }
  ToolstackPlan plan() { return plan_toolstack(picture, world, functions, by_hand); }
  // The plan of that VM; an empty one when it has none.
  VmPlan of(const std::string& name) {
    for (VmPlan& one : plan().vms)
      if (one.uuid.value == name) return one;
    return {};
  }
};

TEST_F(Plan, AVmWithAVolumeOfOursNeedsAFunction) {
  vm("a");
  disk("a", "d1");
  disk("a", "d2");
  EXPECT_EQ(plan().reserve, (std::vector<std::pair<VmId, DpuId>>{{VmId("a"), kDpu}}))
      << "one for all its volumes";
  reserve("a", "");
  EXPECT_EQ(plan().reserve.size(), 1u) << "a reservation that was interrupted";
  reserve("a", "pf0vf2");
  EXPECT_TRUE(plan().reserve.empty());
  EXPECT_EQ(of("a").pci, "0/0000:81:00.2");
}

TEST_F(Plan, AListThatHasWhatIsReservedIsLeftAlone) {
  vm("a").other_config["pci"] = "0/0000:81:00.2";
  disk("a", "d");
  reserve("a", "pf0vf2");
  EXPECT_TRUE(of("a").stripped.empty());
  EXPECT_FALSE(of("a").pci);
}

TEST_F(Plan, OthersNeedNone) {
  vm("a");
  disk("a", "foreign", "other-sr");
  disk("a", "cd").type = "CD";
  disk("a", "empty").empty = true;
  disk("a", "dangling").VDI = xapi::Ref("nowhere");
  for (auto [name, set] : std::map<std::string, bool xapi::Vm::*>{{"t", &xapi::Vm::is_a_template},
                                                                  {"d", &xapi::Vm::is_default_template},
                                                                  {"s", &xapi::Vm::is_a_snapshot},
                                                                  {"c", &xapi::Vm::is_control_domain}}) {
    vm(name).*set = true;
    disk(name, "disk-" + name);
  }
  EXPECT_TRUE(plan().reserve.empty());
}

TEST_F(Plan, AnUncleanVmIsStrippedWhateverItsDisksAndFirst) {
  vm("a").other_config["pci"] = "0/0000:81:00.2";
  vm("a2");
  disk("a2", "d").userdevice = "0";
  vm("t").is_a_template = true;
  vm("t").other_config["pci"] = "0/0000:81:00.3,1/0000:01:00.0";
  vm("s").is_a_snapshot = true;
  vm("s").other_config["pci"] = "0/0000:81:00.2";
  reserve("b", "pf0vf2");
  EXPECT_EQ(of("a").pci, "");
  EXPECT_EQ(of("a").stripped, (std::vector<std::string>{"0000:81:00.2"}));
  EXPECT_EQ(of("t").pci, "0/0000:01:00.0");
  EXPECT_EQ(of("s").pci, "");
  auto all = plan().vms;
  ASSERT_EQ(all.size(), 4u);
  EXPECT_TRUE(all[3].stripped.empty()) << "data safety goes first";
}

TEST_F(Plan, AnEntryOfADpuThatDoesNotAnswerStays) {
  vm("a").other_config["pci"] = "0/0000:81:00.2";
  disk("a", "d");
  reserve("a", "pf0vf2");
  functions.clear();
  EXPECT_EQ(of("a").pci, std::nullopt);
}

TEST_F(Plan, GuardsComeAndGo) {
  vm("a").blocked_operations["suspend"] = "the owner says no";
  disk("a", "d");
  reserve("a", "pf0vf2");
  auto one = of("a");
  EXPECT_FALSE(one.block.contains("suspend")) << "somebody's stays";
  EXPECT_TRUE(one.block.at("checkpoint").starts_with(kBlockPrefix));
  EXPECT_TRUE(one.block.contains("pool_migrate"));
  EXPECT_FALSE(one.block.contains("migrate_send")) << "a halted VM may be moved";
  AttachmentRecord held;
  held.volume = VolumeId("v");
  held.owner = "vm:a";
  world.apply(Put<AttachmentRecord>{held});
  EXPECT_TRUE(of("a").block.contains("migrate_send"));
  vm("a").blocked_operations = of("a").block;
  vm("a").blocked_operations["hard_shutdown"] = "vnvme: host here: of an older version";
  vm("a").blocked_operations["clean_reboot"] = "vnvme: host there: of another host's vnvmed";
  EXPECT_TRUE(of("a").block.contains("suspend"));
  EXPECT_FALSE(of("a").block.contains("checkpoint")) << "it says so already";
  EXPECT_EQ(of("a").unblock, (std::vector<std::string>{"hard_shutdown"}));
  std::string& older = vm("a").blocked_operations["checkpoint"];
  older += ", as an older version said it";
  EXPECT_TRUE(of("a").block.contains("checkpoint"));
  older = of("a").block.at("checkpoint");
  world.apply(EraseAttachment{VolumeId("v"), "vm:a"});
  world.apply(EraseReservation{VmId("a"), kDpu});
  EXPECT_EQ(of("a").unblock.size(), 4u);
  EXPECT_TRUE(of("a").block.empty());
}

TEST_F(Plan, VbdsWhereQemuEmulatesADiskAreMoved) {
  for (const char* number : {"0", "3"}) {
    vm("a");
    disk("a", "d").userdevice = number;
    EXPECT_EQ(of("a").move, (std::map<xapi::Ref, std::string>{{xapi::Ref("d"), "d"}})) << number;
    vm("a").power_state = xapi::PowerState::running;
    EXPECT_TRUE(of("a").move.empty());
    ASSERT_EQ(of("a").problems.size(), 1u);
    EXPECT_NE(of("a").problems[0].find("userdevice"), std::string::npos);
    vm("a").power_state = xapi::PowerState::halted;
  }
  disk("a", "d").userdevice = "4";
  EXPECT_TRUE(of("a").move.empty());
  disk("a", "d").userdevice = "0";
  vm("a").domain_type = "pv";
  EXPECT_TRUE(of("a").move.empty()) << "only HVM emulates";
  vm("a").domain_type = "hvm";
  vm("a").is_a_template = true;
  EXPECT_TRUE(of("a").empty()) << "templates are left alone";
}

TEST_F(Plan, ProblemsNameTheCommandThatRepairsThem) {
  vm("a").domain_type = "pvh";
  vm("a").memory_static_max = 1 << 30;
  vm("a").memory_dynamic_min = 1 << 29;
  EXPECT_TRUE(of("a").problems.empty()) << "it has no volume of ours";
  disk("a", "d");
  auto problems = of("a").problems;
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_NE(problems[0].find("xe vm-param-set uuid=a domain-type=hvm"), std::string::npos);
  EXPECT_NE(problems[1].find("xe vm-memory-dynamic-range-set uuid=a min=1073741824 max=1073741824"),
            std::string::npos);
  vm("a").domain_type = "pv";
  EXPECT_NE(of("a").problems[0].find("IOMMU"), std::string::npos);
  vm("a").domain_type = "hvm";
  vm("a").memory_static_max = 0;
  EXPECT_TRUE(of("a").problems.empty()) << "a size that is not known proves nothing";
}

TEST_F(Plan, ReservationsGoWithTheVmOrItsLastVolume) {
  reserve("gone", "pf0vf2");
  reserve("idle", "pf0vf3");
  vm("idle");
  vm("user");
  disk("user", "d");
  reserve("user", "pf0vf4");
  EXPECT_EQ(plan().release, (std::vector<VmId>{VmId("gone"), VmId("idle")}));
  vm("idle").power_state = xapi::PowerState::running;
  EXPECT_EQ(plan().release, (std::vector<VmId>{VmId("gone")}));
  vm("idle").power_state = xapi::PowerState::halted;
  vm("idle").current_operations["t"] = "start";
  EXPECT_EQ(plan().release, (std::vector<VmId>{VmId("gone")}));
  vm("idle").current_operations.clear();
  by_hand.insert(VmId("idle"));
  EXPECT_EQ(plan().release, (std::vector<VmId>{VmId("gone")}));
  AttachmentRecord held;
  held.volume = VolumeId("v");
  held.owner = "vm:gone";
  world.apply(Put<AttachmentRecord>{held});
  EXPECT_TRUE(plan().release.empty());
}

TEST_F(Plan, ASpareIsNobodysAndStays) {
  world.apply(Put<ReservationRecord>{{spare_holder("S3"), kDpu, FunctionId("pf0vf3"), "S3"}});
  EXPECT_TRUE(plan().release.empty());
  vm("a").other_config["pci"] = "0/0000:81:00.3";
  EXPECT_EQ(of("a").pci, "") << "no VM may name it";
}

TEST_F(Plan, WhatItCannotReadIsNoReasonToAct) {
  vm("a");
  for (const char* number : {"", "x", "1x", "99999999999"}) {
    disk("a", "d").userdevice = number;
    EXPECT_TRUE(of("a").move.empty()) << number;
  }
  disk("a", "d").userdevice = "0";
  vm("a").domain_type = "pv_in_pvh";
  EXPECT_TRUE(of("a").move.empty()) << "no emulated disks there";
  vm("a").memory_static_max = vm("a").memory_dynamic_min = 1 << 30;
  EXPECT_TRUE(of("a").problems.empty());
}

TEST_F(Plan, ASharedSrTellsNoHost) {
  picture.srs[xapi::Ref("sr")].shared = true;
  vm("a");
  disk("a", "d");
  EXPECT_TRUE(plan().reserve.empty());
  EXPECT_EQ(own_host(picture, world), nullptr);
  picture.srs[xapi::Ref("sr")].shared = false;
  picture.pbds[xapi::Ref("dangling")].SR = xapi::Ref("nowhere");
  picture.pbds[xapi::Ref("a-strangers")].SR = xapi::Ref("other-sr");
  EXPECT_NE(own_host(picture, world), nullptr);
}

TEST_F(Plan, NothingIsGoneWhileARecordIsUnreadable) {
  reserve("gone", "pf0vf2");
  for (auto c : {xapi::Class::vm, xapi::Class::vbd, xapi::Class::vdi, xapi::Class::sr}) {
    picture.unreadable = {{{c, xapi::Ref("x")}, "why"}};
    EXPECT_TRUE(plan().release.empty()) << xapi::to_string(c);
  }
  picture.unreadable = {{{xapi::Class::pool, xapi::Ref("x")}, "why"}};
  EXPECT_EQ(plan().release.size(), 1u);
}

// In a pool the same address is another function on each host.
TEST_F(Plan, VmsOfOtherHostsAreLeftAlone) {
  auto list = [this](const std::string& name) -> xapi::Vm& {
    vm(name).other_config["pci"] = "0/0000:81:00.3";
    return vm(name);
  };
  xapi::Vm& runs = list("runs there");
  runs.power_state = xapi::PowerState::running;
  runs.resident_on = xapi::Ref("there");
  list("starts there").affinity = xapi::Ref("there");
  list("has its drives there");
  disk("has its drives there", "d", "other-sr");
  picture.srs[xapi::Ref("other-sr")].type = "vnvme-raw";
  vm("has its drives there").blocked_operations["suspend"] = "vnvme: host there: busy";
  EXPECT_TRUE(plan().vms.empty());
  runs.resident_on = xapi::Ref("here");
  EXPECT_EQ(of("runs there").pci, "");
  vm("starts there").affinity = xapi::Ref("here");
  EXPECT_EQ(of("starts there").pci, "");
  vm("starts there").affinity = xapi::Ref();
  EXPECT_EQ(of("starts there").pci, "") << "it may start here";
  vm("starts there").affinity = xapi::Ref("there");
  disk("starts there", "ours");
  EXPECT_EQ(of("starts there").pci, "") << "it can start only where its drive is";
}

TEST_F(Plan, NothingIsDoneWhileThisHostIsNotKnown) {
  vm("a").other_config["pci"] = "0/0000:81:00.3";
  picture.pbds.clear();
  EXPECT_TRUE(plan().vms.empty());
  reserve("gone", "pf0vf2");
  EXPECT_TRUE(plan().release.empty());
}

TEST_F(Plan, APictureWithoutAControlDomainIsNotBelieved) {
  reserve("gone", "pf0vf2");
  vm("a").other_config["pci"] = "0/0000:81:00.3";
  picture.vms.erase(xapi::Ref("dom0"));
  auto nothing = plan();
  EXPECT_TRUE(nothing.release.empty());
  EXPECT_TRUE(nothing.vms.empty());
  EXPECT_TRUE(nothing.reserve.empty());
}

}  // namespace
}  // namespace vnvme::model
