// What `vnvme` shows and does: its verbs, and what the doctor finds.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/names.hpp"
#include "support/rig.hpp"

namespace vnvme::test {
namespace {

using nlohmann::json;
using std::chrono::seconds;

Result<json> ask(Rig& rig, const std::string& verb, const json& args = json::object()) {
  auto answer =
      rig.run<Result<json>>([&] { return rig.services->admin(verb, args, Deadline::after(seconds(30))); });
  return answer ? std::move(*answer) : fail(Errc::internal, "hangs");
}

// The DPU is looked at anew.
void look_again(Rig& rig) {
  rig.card.power(false);
  rig.advance(seconds(2));
  rig.card.power(true);
  rig.advance(seconds(5));
}

bool says(const json& findings, const std::string& state, const std::string& check, const std::string& text) {
  for (const auto& f : findings)
    if (f["state"] == state && f["check"] == check &&
        f["text"].get<std::string>().find(text) != std::string::npos)
      return true;
  return false;
}

TEST(Admin, AVerbThatIsNotThereIsRefused) {
  Rig rig;
  auto answer = ask(rig, "format-everything");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::invalid_argument);
  EXPECT_NE(answer.error().text.find("'format-everything'"), std::string::npos);
}

TEST(Admin, EachDpuSaysHowItIs) {
  Rig rig;
  rig.advance(seconds(2));
  auto dpus = ask(rig, "dpu").value();
  ASSERT_EQ(dpus.size(), 1u);
  EXPECT_EQ(dpus[0]["name"], "dpu0");
  EXPECT_EQ(dpus[0]["dpu"], "fake:");
  EXPECT_EQ(dpus[0]["family"], "fake");
  EXPECT_EQ(dpus[0]["connected"], true);
  EXPECT_EQ(dpus[0]["ready"], true);
  rig.card.power(false);
  rig.advance(seconds(2));
  dpus = ask(rig, "dpu").value();
  EXPECT_EQ(dpus[0]["connected"], false);
  EXPECT_EQ(dpus[0]["ready"], false);
  EXPECT_EQ(dpus[0]["trouble"], "the fake card is switched off");
}

TEST(Admin, VolumesAndAttachmentsNameTheirOwners) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("disk", GiB(1)).value();
  ASSERT_TRUE(v);
  rig.domains.running[17] = rig.vm;
  ASSERT_TRUE(rig.reserve(rig.vm).value());
  ASSERT_TRUE(rig.attach(v->key, "17").value());
  auto volumes = ask(rig, "volumes").value();
  ASSERT_EQ(volumes.size(), 1u);
  EXPECT_EQ(volumes[0]["volume"], v->key.value);
  EXPECT_EQ(volumes[0]["owner"], "vm:" + rig.vm.value);
  EXPECT_EQ(volumes[0]["missing"], false);
  EXPECT_EQ(volumes[0]["read_only"], false);
  EXPECT_EQ(volumes[0]["size"], GiB(1).value);
  EXPECT_EQ(ask(rig, "volumes", {{"sr", rig.sr.value}}).value().size(), 1u);
  EXPECT_TRUE(ask(rig, "volumes", {{"sr", "another"}}).value().empty());
  auto attachments = ask(rig, "attachments").value();
  ASSERT_EQ(attachments.size(), 1u);
  EXPECT_EQ(attachments[0]["name"], "disk");
  EXPECT_EQ(attachments[0]["domains"], json::array({"17"}));
  EXPECT_EQ(attachments[0]["nsid"], 1);
}

TEST(Admin, StatusCountsAndSaysWhatIsWrong) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  ASSERT_TRUE(rig.create("disk", GiB(1)).value());
  auto status = ask(rig, "status").value();
  EXPECT_EQ(status["ready"], true);
  EXPECT_EQ(status["volumes_total"], 1);
  ASSERT_EQ(status["srs"].size(), 1u);
  EXPECT_EQ(status["srs"][0]["health"], "healthy");
  EXPECT_EQ(status["srs"][0]["volumes"], 1);
  rig.card.power(false);
  rig.advance(seconds(2));
  status = ask(rig, "status").value();
  EXPECT_EQ(status["ready"], false);
  EXPECT_EQ(status["srs"][0]["health"], "trouble");
  EXPECT_EQ(status["srs"][0]["health_text"], "its DPU cannot be reached");
}

TEST(Admin, DrivesSayWhetherTheyCanBeTaken) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto drives = ask(rig, "drives").value();
  ASSERT_EQ(drives.size(), 2u);
  std::size_t takeable = 0;
  for (const auto& d : drives) {
    takeable += d["takeable"] == true ? 1 : 0;
    if (d["claimed"] == true) {
      EXPECT_NE(d["reason"].get<std::string>().find("in use"), std::string::npos);
    }
  }
  EXPECT_EQ(takeable, 1u);
  rig.blocks.drives_hold_data = true;
  drives = ask(rig, "drives", {{"look", true}}).value();
  for (const auto& d : drives)
    EXPECT_EQ(d["takeable"], false) << "one is in use, the other holds data: " << d["reason"];
  rig.card.power(false);
  rig.advance(seconds(2));
  EXPECT_TRUE(ask(rig, "drives").value().empty()) << "nothing is said about a DPU that is not there";
}

TEST(Admin, PoolsSayWhoseTheyAre) {
  Rig rig(3);
  auto made = rig.run<Result<smapi::Strings>>([&] {
    return rig.services->sr_create(rig.context("SR.create"), rig.sr,
                                   {{"dpu", "dpu0"}, {"drives", "S0,S1"}, {"raid", "raid1"}}, "n", "d");
  });
  ASSERT_TRUE(made && *made) << (*made).error().describe();
  dpu::Pool other;
  other.id = PoolId("a-foreign-pool");
  other.name = "lvs0";
  other.drive = "Nvme2n1";
  other.total = other.free = GiB(1);
  rig.card.pools[other.id.value] = other;
  look_again(rig);
  auto pools = ask(rig, "pools").value();
  ASSERT_EQ(pools.size(), 2u);
  for (const auto& p : pools) {
    bool foreign = p["name"] == "lvs0";
    EXPECT_EQ(p["foreign"], foreign);
    EXPECT_EQ(p["sr"], foreign ? "" : rig.sr.value);
    EXPECT_EQ(p["raid"], foreign ? "" : "raid1");
  }
}

TEST(Admin, ReservingIsForAVmAndARealDpu) {
  Rig rig;
  rig.advance(seconds(2));
  for (const char* verb : {"reserve", "unreserve"}) {
    auto answer = ask(rig, verb, {{"vm", "my-vm"}});
    ASSERT_FALSE(answer) << verb;
    EXPECT_EQ(answer.error().code, Errc::invalid_argument);
  }
  auto nowhere = ask(rig, "reserve", {{"vm", rig.vm.value}, {"dpu", "dpu7"}});
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Errc::not_found);
  EXPECT_TRUE(ask(rig, "unreserve", {{"vm", rig.vm.value}})) << "it has none";
  EXPECT_TRUE(rig.card.functions.empty() || rig.memory.contents().reservations.empty());
}

TEST(Admin, AFunctionIsReservedOnceAndFreedWhenNothingUsesIt) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("disk", GiB(1)).value();
  auto first = ask(rig, "reserve", {{"vm", rig.vm.value}, {"dpu", "dpu0"}});
  ASSERT_TRUE(first) << first.error().describe();
  EXPECT_EQ(first->at("serial"), model::serial_of_vm(rig.vm));
  EXPECT_EQ(ask(rig, "reserve", {{"vm", rig.vm.value}}).value(), *first);
  auto functions = ask(rig, "functions").value();
  bool shown = false;
  for (const auto& f : functions)
    if (f["reserved_for"] == rig.vm.value) {
      shown = true;
      EXPECT_EQ(f["function"], first->at("function"));
      EXPECT_EQ(f["driver"], "pciback");
      EXPECT_EQ(f["namespaces"], 0);
    }
  EXPECT_TRUE(shown);
  rig.domains.running[17] = rig.vm;
  ASSERT_TRUE(rig.attach(v->key, "17").value());
  auto refused = ask(rig, "unreserve", {{"vm", rig.vm.value}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::in_use);
  ASSERT_TRUE(rig.release(v->key, "17").value());
  rig.domains.running.clear();
  ASSERT_TRUE(rig.settle());
  EXPECT_TRUE(ask(rig, "unreserve", {{"vm", rig.vm.value}}));
  EXPECT_TRUE(rig.memory.contents().reservations.empty());
  rig.check("after unreserve");
}

TEST(Admin, EventsGoOnFromWhereOneWas) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto all = ask(rig, "events").value();
  ASSERT_FALSE(all["events"].empty());
  EXPECT_EQ(all["next"], all["events"].back()["seq"]);
  EXPECT_EQ(ask(rig, "events", {{"max", 1u}}).value()["events"].size(), 1u);
  auto none = ask(rig, "events", {{"since", all["next"]}}).value();
  EXPECT_TRUE(none["events"].empty());
  EXPECT_EQ(none["next"], all["next"]);
  rig.events.add("info", "test", "something new");
  auto more = ask(rig, "events", {{"since", all["next"]}}).value();
  ASSERT_EQ(more["events"].size(), 1u);
  EXPECT_EQ(more["events"][0]["text"], "something new");
}

TEST(Admin, AdoptWithoutNeedDoesNothing) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  EXPECT_TRUE(ask(rig, "adopt", {{"accept_missing", true}}).value().empty());
}

TEST(Doctor, AHealthyHostIsOk) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  ASSERT_TRUE(rig.create("disk", GiB(1)).value());
  ASSERT_TRUE(rig.settle());
  auto findings = ask(rig, "doctor").value();
  for (const auto& f : findings) EXPECT_EQ(f["state"], "ok") << f;
  EXPECT_TRUE(says(findings, "ok", "DPU fake:", "fake 1"));
  EXPECT_TRUE(says(findings, "ok", "SR " + rig.sr.value, "1 volumes, all on the DPU"));
}

TEST(Doctor, ADpuThatIsAwayIsTheProblem) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  rig.card.power(false);
  rig.advance(seconds(2));
  auto findings = ask(rig, "doctor").value();
  EXPECT_TRUE(says(findings, "problem", "DPU fake:", "switched off"));
  EXPECT_EQ(findings.size(), 1u) << "nothing is said about pools that cannot be seen: " << findings;
}

TEST(Doctor, StrangersAndLostOnesAreNamedAndLeftAlone) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr("wipe", "none").value());
  auto kept = rig.create("kept", GiB(1)).value();
  auto lost = rig.create("lost", GiB(1)).value();
  ASSERT_TRUE(kept && lost);
  ASSERT_TRUE(rig.settle());
  const Lvol stranger = *rig.lvol(kept->key);
  rig.card.lvols.erase(rig.services->core().world.volume(lost->key)->dpu_id.value);
  auto add = [&](const std::string& id, const std::string& name) {
    Lvol l = stranger;
    l.info.id = DpuVolumeId(id);
    l.info.name = name;
    rig.card.lvols[id] = l;
  };
  add("stranger", "lvol0");
  add("nameless", model::volume_name(VolumeId("aaaaaaaa-bbbb-cccc-dddd-000000000001"), "x", 63));
  look_again(rig);
  auto findings = ask(rig, "doctor").value();
  const std::string sr = "SR " + rig.sr.value;
  EXPECT_TRUE(says(findings, "problem", "volume " + lost->key.value, "is not on the DPU")) << findings;
  EXPECT_TRUE(says(findings, "warning", sr, "lvol lvol0, which vnvme did not make")) << findings;
  EXPECT_TRUE(says(findings, "warning", sr, "has a name of vnvme, but no record")) << findings;
  EXPECT_TRUE(says(findings, "warning", sr, "not erased (wipe=none)")) << findings;
  EXPECT_FALSE(says(findings, "ok", sr, "all on the DPU"));
  EXPECT_TRUE(rig.card.lvols.contains("stranger"));
  EXPECT_TRUE(rig.card.lvols.contains("nameless"));
}

TEST(Doctor, AnExposureBySomebodyElseIsAProblem) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("disk", GiB(1)).value();
  dpu::Exposure theirs;
  theirs.function = FunctionId("theirs");
  theirs.nsid = 1;
  theirs.target = rig.services->core().world.volume(v->key)->dpu_id.value;
  theirs.foreign = true;
  rig.card.exposures.push_back(theirs);
  EXPECT_TRUE(
      says(ask(rig, "doctor").value(), "problem", "volume " + v->key.value, "by somebody else, on theirs"));
}

TEST(Doctor, APoolThatIsGoneIsAProblem) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  rig.card.pools.clear();
  look_again(rig);
  EXPECT_TRUE(says(ask(rig, "doctor").value(), "problem", "SR " + rig.sr.value, "its pool is not on DPU"));
  EXPECT_EQ(ask(rig, "status").value()["srs"][0]["health_text"], "its pool is not on the DPU");
}

TEST(Doctor, AFullPoolIsWarnedAbout) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr("provisioning", "thick").value());
  auto total = rig.card.pools.begin()->second.total;
  ASSERT_TRUE(rig.create("most of it", Bytes{total.value / 100 * 85}).value());
  look_again(rig);
  EXPECT_TRUE(says(ask(rig, "doctor").value(), "warning", "SR " + rig.sr.value, "more than 80 %"));
}

}  // namespace
}  // namespace vnvme::test
