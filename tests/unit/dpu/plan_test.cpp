// The decisions of both function drivers: given what is, what is the next step?
#include <gtest/gtest.h>

#include "core/json.hpp"
#include "dpu/snap/snap.hpp"
#include "dpu/spdk/nvmf.hpp"
#include "support/dpu_fixture.hpp"

namespace vnvme::dpu {
namespace {

using spdk::Listener;
using spdk::Plan;
using test::kNqn;

std::string word(const Plan& plan) {
  if (plan.refusal) return std::string(to_string(plan.refusal->code));
  return plan.step ? plan.step->method : "done";
}

spdk::NvmfState fabrics(std::initializer_list<std::string> subsystems) {
  auto state = spdk::decode_subsystems(test::list(subsystems));
  EXPECT_TRUE(state);
  return *state;
}
const Expose kWant{FunctionId(kNqn), 1, test::kVol, test::kVol};

TEST(NvmfOpen, CreatesListensAndIsDone) {
  Listener listener{.traddr = "127.0.0.1", .trsvcid = "4420"};
  EXPECT_EQ(word(spdk::plan_nvmf_open({}, "VM1", listener)), "nvmf_create_subsystem");
  auto state = fabrics({test::subsystem_text(kNqn, "VM1")});
  EXPECT_EQ(word(spdk::plan_nvmf_open(state, "VM1", std::nullopt)), "done");
  EXPECT_EQ(word(spdk::plan_nvmf_open(state, "VM1", listener)), "nvmf_subsystem_add_listener");
  state[0].listeners.push_back({"tcp", "ipv4", "127.0.0.1", "4420"});
  EXPECT_EQ(word(spdk::plan_nvmf_open(state, "VM1", listener)), "done");
  state[0].serial = "OTHER";
  EXPECT_EQ(word(spdk::plan_nvmf_open(state, "VM1", listener)), "conflict");
  EXPECT_EQ(word(spdk::plan_nvmf_open(state, "bad serial", listener)), "invalid_argument");
}

TEST(NvmfClose, OnlyOursAndOnlyEmpty) {
  EXPECT_EQ(word(spdk::plan_nvmf_close({}, FunctionId(kNqn))), "done");
  EXPECT_EQ(word(spdk::plan_nvmf_close(fabrics({test::subsystem_text(kNqn, "VM1")}), FunctionId(kNqn))),
            "nvmf_delete_subsystem");
  auto used = fabrics({test::subsystem_text(kNqn, "VM1", test::namespace_text(1, test::kVol, test::kVol))});
  EXPECT_EQ(word(spdk::plan_nvmf_close(used, FunctionId(kNqn))), "in_use");
  auto foreign = fabrics({test::subsystem_text(test::kForeignNqn, "X")});
  EXPECT_EQ(word(spdk::plan_nvmf_close(foreign, FunctionId(test::kForeignNqn))), "not_permitted");
}

TEST(NvmfExpose, OnceAndNowhereElse) {
  auto empty = fabrics({test::subsystem_text(kNqn, "VM1")});
  auto plan = spdk::plan_nvmf_expose(empty, kWant);
  ASSERT_EQ(word(plan), "nvmf_subsystem_add_ns");
  EXPECT_EQ(plan.step->params["namespace"]["nguid"], uuid_hex(test::kVol));
  EXPECT_EQ(word(spdk::plan_nvmf_expose({}, kWant)), "not_found");
  auto there = fabrics({test::subsystem_text(kNqn, "VM1", test::namespace_text(1, test::kVol, test::kVol))});
  EXPECT_EQ(word(spdk::plan_nvmf_expose(there, kWant)), "done");
  auto other_uuid = kWant;
  other_uuid.uuid = test::kVol2;
  EXPECT_EQ(word(spdk::plan_nvmf_expose(there, other_uuid)), "conflict");
  auto other_volume = kWant;
  other_volume.target = test::kVol2;
  EXPECT_EQ(word(spdk::plan_nvmf_expose(there, other_volume)), "conflict");
  auto other_nsid = kWant;
  other_nsid.nsid = 2;
  EXPECT_EQ(word(spdk::plan_nvmf_expose(there, other_nsid)), "in_use");
  auto foreign = fabrics(
      {test::subsystem_text(kNqn, "VM1"),
       test::subsystem_text(test::kForeignNqn, "X", test::namespace_text(7, test::kVol, test::kVol))});
  EXPECT_EQ(word(spdk::plan_nvmf_expose(foreign, kWant)), "in_use") << "a foreign export counts as in use";
  for (std::uint32_t nsid : {0u, 33u}) {
    auto wrong = kWant;
    wrong.nsid = nsid;
    EXPECT_EQ(word(spdk::plan_nvmf_expose(empty, wrong)), "invalid_argument");
  }
  auto not_ours = kWant;
  not_ours.function = FunctionId(test::kForeignNqn);
  EXPECT_EQ(word(spdk::plan_nvmf_expose(foreign, not_ours)), "not_permitted");
}

TEST(NvmfUnexpose, AbsentIsDoneAndForeignIsNotTouched) {
  auto there = fabrics(
      {test::subsystem_text(kNqn, "VM1", test::namespace_text(1, test::kVol, test::kVol)),
       test::subsystem_text(test::kForeignNqn, "X", test::namespace_text(1, test::kVol2, test::kVol2))});
  EXPECT_EQ(word(spdk::plan_nvmf_unexpose(there, FunctionId(kNqn), 1)), "nvmf_subsystem_remove_ns");
  EXPECT_EQ(word(spdk::plan_nvmf_unexpose(there, FunctionId(kNqn), 2)), "done");
  EXPECT_EQ(word(spdk::plan_nvmf_unexpose({}, FunctionId(kNqn), 1)), "done");
  EXPECT_EQ(word(spdk::plan_nvmf_unexpose(there, FunctionId(test::kForeignNqn), 1)), "not_permitted");
}

// A card with two VFs: VF0 carries a foreign controller, VF1 is idle.
const char* kFunctions =
    R"([{"hotplugged":false,"emulation_type":"NVME","pf_index":0,"pci_bdf":"26:00.2","vhca_id":2,"vuid":"PF0",
  "vfs":[{"hotplugged":false,"emulation_type":"NVME","pf_index":0,"vf_index":0,"pci_bdf":"26:0c.0","vhca_id":98,"vuid":"VF0","ctrl_id":"C2"},
         {"hotplugged":false,"emulation_type":"NVME","pf_index":0,"vf_index":1,"pci_bdf":"26:0c.1","vhca_id":99,"vuid":"VF1"}]},
 {"hotplugged":false,"emulation_type":"VIRTIO_BLK","pf_index":0,"pci_bdf":"26:00.4","vhca_id":7,"vuid":"VB0"}])";

snap::SnapState card() {
  auto functions = snap::decode_functions(kFunctions);
  EXPECT_TRUE(functions);
  auto subsystems = snap::decode_snap_subsystems(
      R"([{"nqn":"nqn.2022-10.io.nvda.nvme:0","sn":"MNC12","controllers":[{"ctrl_id":"C2","vhca_id":98,"state":"STARTED","namespaces":[{"nsid":1,"bdev":"null0"}]}],"namespaces":[{"nsid":1,"bdev":"null0","uuid":""}]}])");
  EXPECT_TRUE(subsystems);
  return {*functions, *subsystems};
}
void with_controller(snap::SnapState& state, const std::string& vuid, const std::string& status,
                     bool plugged = false) {
  for (auto& f : state.functions)
    if (f.vuid == vuid) f.controller = "C9";
  state.subsystems.push_back({kNqn, "VM1", {{"C9", status, std::nullopt, plugged, {}}}, {}});
}

TEST(SnapList, DecodesPfsAndVfsAndAddsTheDomain) {
  auto all = snap::functions_of(card());
  ASSERT_EQ(all.size(), 3u) << "only NVMe functions";
  EXPECT_EQ(all[1].bdf, "0000:26:0c.0");
  EXPECT_TRUE(all[1].foreign && all[1].virtual_function);
  EXPECT_FALSE(all[2].foreign);
  EXPECT_FALSE(all[2].ready);
  auto exposures = snap::snap_exposures_of(card());
  ASSERT_EQ(exposures.size(), 1u);
  EXPECT_EQ(exposures[0].function.str(), "VF0");
  EXPECT_TRUE(exposures[0].foreign);
}

TEST(SnapList, AnInvisibleFunctionHasNoBdf) {
  auto functions = snap::decode_functions(R"([{"hotplugged":true,"pci_bdf":"00:00.0","vuid":"H","vfs":[]}])");
  ASSERT_TRUE(functions);
  EXPECT_EQ((*functions)[0].bdf, "");
}

TEST(SnapList, RefusesWhatItCannotRead) {
  for (const char* bad :
       {R"([{"pci_bdf":"26:00.2"}])", R"([{"vuid":"a","vfs":5}])", R"([{"vuid":"a","vfs":[{}]}])", "{}"})
    EXPECT_FALSE(snap::decode_functions(bad)) << bad;
  for (const char* bad :
       {R"([{"nqn":"a","controllers":[]}])", R"([{"nqn":"a","namespaces":[],"controllers":[{}]}])",
        R"([{"nqn":"a","controllers":[],"namespaces":[{"nsid":1}]}])", "5"})
    EXPECT_FALSE(snap::decode_snap_subsystems(bad)) << bad;
}

TEST(SnapOpen, TakesTheIdleVfThenResumes) {
  auto state = card();
  EXPECT_EQ(word(snap::plan_snap_open(state, "VM1", true)), "nvme_subsystem_create");
  state.subsystems.push_back({kNqn, "VM1", {}, {}});
  auto plan = snap::plan_snap_open(state, "VM1", true);
  ASSERT_EQ(word(plan), "nvme_controller_create");
  EXPECT_EQ(plan.step->params["pci_bdf"], "26:0c.1");
  EXPECT_EQ(plan.step->params["suspended"], true);
  state = card();
  with_controller(state, "VF1", "SUSPENDED");
  EXPECT_EQ(word(snap::plan_snap_open(state, "VM1", true)), "nvme_controller_resume");
  state = card();
  with_controller(state, "VF1", "STARTED");
  EXPECT_EQ(word(snap::plan_snap_open(state, "VM1", true)), "done");
  EXPECT_TRUE(snap::functions_of(state)[2].ready);
}

TEST(SnapOpen, TakesTheFunctionThatTheGuestHasBeforeAnyOther) {
  auto state = card();
  state.functions.push_back({"VF9", "0000:26:0d.1", "", 121, false, true});
  state.subsystems.push_back({kNqn, "VM1", {}, {}});
  auto plan = snap::plan_snap_open(state, "VM1", true, FunctionId("VF9"));
  ASSERT_EQ(word(plan), "nvme_controller_create");
  EXPECT_EQ(plan.step->params["pci_bdf"], "26:0d.1");
  plan = snap::plan_snap_open(state, "VM1", true, FunctionId("gone"));
  ASSERT_EQ(word(plan), "nvme_controller_create");
  EXPECT_EQ(plan.step->params["pci_bdf"], "26:0c.1") << "another one, and the caller sees which";
}

TEST(SnapOpen, HotPlugsWhenNoVfIsIdle) {
  auto state = card();
  state.functions.pop_back();
  state.subsystems.push_back({kNqn, "VM1", {}, {}});
  EXPECT_EQ(word(snap::plan_snap_open(state, "VM1", true)), "nvme_function_create");
  EXPECT_EQ(word(snap::plan_snap_open(state, "VM1", false)), "no_space");
  state.functions.push_back({"H1", "", "", 120, true, false});
  auto plan = snap::plan_snap_open(state, "VM1", true);
  ASSERT_EQ(word(plan), "nvme_controller_create")
      << "what a crash left behind is used before another one is made";
  EXPECT_EQ(plan.step->params["vuid"], "H1");
  state.subsystems.pop_back();
  with_controller(state, "H1", "STARTED", false);
  plan = snap::plan_snap_open(state, "VM1", true);
  ASSERT_EQ(word(plan), "nvme_controller_hotplug");
  EXPECT_EQ(plan.step->params["wait_for_done"], true);
}

TEST(SnapClose, IsTheMirrorImageAndRechecksOwnership) {
  auto state = card();
  state.functions.push_back({"H1", "0000:27:00.0", "", 120, true, false});
  with_controller(state, "H1", "STARTED", true);
  std::string nqn;
  EXPECT_EQ(word(snap::plan_snap_close(state, FunctionId("H1"), nqn)), "nvme_controller_hotunplug");
  EXPECT_EQ(nqn, kNqn);
  state.subsystems.back().controllers[0].plugged = false;
  EXPECT_EQ(word(snap::plan_snap_close(state, FunctionId("H1"), nqn)), "nvme_controller_destroy");
  state.subsystems.back().controllers.clear();
  state.functions.back().controller.clear();
  auto plan = snap::plan_snap_close(state, FunctionId("H1"), nqn);
  ASSERT_EQ(word(plan), "nvme_subsystem_destroy");
  EXPECT_FALSE(plan.step->params.contains("force"));
  state.subsystems.pop_back();
  EXPECT_EQ(word(snap::plan_snap_close(state, FunctionId("H1"), nqn)), "nvme_function_destroy");
  state.functions.pop_back();
  EXPECT_EQ(word(snap::plan_snap_close(state, FunctionId("H1"), nqn)), "done");
}

TEST(SnapClose, NeverTouchesWhatIsNotOurs) {
  std::string nqn;
  EXPECT_EQ(word(snap::plan_snap_close(card(), FunctionId("VF0"), nqn)), "not_permitted");
  EXPECT_EQ(word(snap::plan_snap_close(card(), FunctionId("VF1"), nqn)), "done");
  auto state = card();
  state.subsystems.clear();  // its controller is in no subsystem that is listed
  EXPECT_EQ(word(snap::plan_snap_close(state, FunctionId("VF0"), nqn)), "not_permitted");
  state = card();
  with_controller(state, "VF1", "STARTED");
  state.subsystems.back().namespaces.push_back({1, test::kVol, test::kVol});
  EXPECT_EQ(word(snap::plan_snap_close(state, FunctionId("VF1"), nqn)), "in_use");
}

TEST(SnapExpose, NamespaceThenAttachThenDone) {
  auto state = card();
  with_controller(state, "VF1", "STARTED");
  Expose want{FunctionId("VF1"), 1, test::kVol, test::kVol};
  EXPECT_EQ(word(snap::plan_snap_expose(state, want)), "nvme_namespace_create");
  state.subsystems.back().namespaces.push_back({1, test::kVol, test::kVol});
  EXPECT_EQ(word(snap::plan_snap_expose(state, want)), "nvme_controller_attach_ns");
  state.subsystems.back().controllers[0].attached = {1};
  EXPECT_EQ(word(snap::plan_snap_expose(state, want)), "done");
  auto other = want;
  other.nsid = 2;
  EXPECT_EQ(word(snap::plan_snap_expose(state, other)), "in_use");
  other = want;
  other.target = test::kVol2;
  EXPECT_EQ(word(snap::plan_snap_expose(state, other)), "conflict");
  other.target = "null0";
  other.nsid = 3;
  EXPECT_EQ(word(snap::plan_snap_expose(state, other)), "in_use") << "a foreign namespace counts";
  other.function = FunctionId("VF0");
  EXPECT_EQ(word(snap::plan_snap_expose(state, other)), "not_permitted");
  other.function = FunctionId("nope");
  EXPECT_EQ(word(snap::plan_snap_expose(state, other)), "not_found");
}

TEST(SnapUnexpose, DetachThenDestroyThenDone) {
  auto state = card();
  with_controller(state, "VF1", "STARTED");
  auto& ours = state.subsystems.back();
  ours.namespaces.push_back({1, test::kVol, test::kVol});
  ours.controllers[0].attached = {1};
  FunctionId id("VF1");
  EXPECT_EQ(word(snap::plan_snap_unexpose(state, id, 1)), "nvme_controller_detach_ns");
  ours.controllers[0].attached.clear();
  EXPECT_EQ(word(snap::plan_snap_unexpose(state, id, 1)), "nvme_namespace_destroy");
  ours.namespaces.clear();
  EXPECT_EQ(word(snap::plan_snap_unexpose(state, id, 1)), "done");
  EXPECT_EQ(word(snap::plan_snap_unexpose(state, FunctionId("gone"), 1)), "done");
  EXPECT_EQ(word(snap::plan_snap_unexpose(state, FunctionId("VF0"), 1)), "not_permitted");
}

}  // namespace
}  // namespace vnvme::dpu
