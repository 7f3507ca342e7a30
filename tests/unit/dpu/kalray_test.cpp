// A card that knows nothing but names: which volume is on which function, whose it is, and what becomes of it
// when a request fails. Every step of every verb that renames fails once in every way (F1).
#include <gtest/gtest.h>

#include "dpu/kalray/kalray_dpu.hpp"
#include "support/dpu_fixture.hpp"

namespace vnvme::dpu {
namespace {

using kalray::Bound;
using kalray::Lent;
using kalray::Slot;
using std::chrono::seconds;
using test::Fault;
using test::kPool;
using test::kVol;
using test::kVol2;
using test::Seen;

const std::string kUuid = "6f0d3f0a-7f3d-4d0e-9a6b-2f5b8f4d1c77";
const std::vector<std::pair<std::string, std::string>> kFour{{"volume_09", "0000:04:00.2"},
                                                             {"volume_10", "0000:04:00.3"},
                                                             {"volume_11", "0000:04:00.4"},
                                                             {"volume_12", "0000:04:00.5"}};
const FunctionId kFirst("volume_09"), kSecond("volume_10");

std::vector<Slot> four() {
  auto slots = kalray::make_slots(kFour);
  EXPECT_TRUE(slots);
  return *slots;
}
Bound shows(const std::string& slot, const std::string& own) {
  DpuVolume volume;
  volume.id = DpuVolumeId(kVol);
  volume.name = slot;
  return {slot, volume, own};
}

TEST(KalraySlots, TheK200sAreBuiltIn) {
  auto slots = kalray::make_slots({});
  ASSERT_TRUE(slots);
  ASSERT_EQ(slots->size(), 4u);
  EXPECT_EQ(slots->front().name, "volume_09");
  EXPECT_EQ(slots->back().name, "volume_12");
  EXPECT_EQ(slots->front().bdf, "") << "no card knows in which slot of a host it is";
}
TEST(KalraySlots, WrongOnesAreNamed) {
  const std::vector<std::pair<std::vector<std::pair<std::string, std::string>>, std::string>> cases{
      {{{"", "0000:04:00.2"}}, "letters"},
      {{{"a/b", "0000:04:00.2"}}, "letters"},
      {{{"volume_09", ""}}, "0000:04:00.2"},
      {{{"volume_09", "04:00.2"}}, "PCI address"},
      {{{"volume_09", "0000:04:00.8"}}, "PCI address"},
      {{{"volume_09", "0000:0G:00.2"}}, "PCI address"},
      {{{"volume_09", "0000:04:00.2"}, {"volume_10", "0000:04:00.2"}}, "another one"},
      {{{"volume_09", "0000:04:00.2"}, {"volume_09", "0000:04:00.3"}}, "twice"}};
  for (const auto& [functions, text] : cases) {
    auto slots = kalray::make_slots(functions);
    ASSERT_FALSE(slots);
    EXPECT_EQ(slots.error().code, Errc::invalid_argument);
    EXPECT_NE(slots.error().text.find(text), std::string::npos) << slots.error().text;
  }
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 65; ++i) {
    char bdf[16];
    std::snprintf(bdf, sizeof bdf, "0000:04:%02x.0", static_cast<unsigned>(i));
    many.emplace_back("v" + std::to_string(i), bdf);
  }
  EXPECT_FALSE(kalray::make_slots(many));
}
TEST(KalraySlots, ChoosesThePreferredThenAnIdleOne) {
  auto slots = four();
  Lent lent;
  auto choose = [&](const std::string& serial, std::vector<Bound> bound, const FunctionId& preferred = {}) {
    auto chosen = kalray::choose_slot(slots, lent, bound, serial, preferred);
    return chosen ? *chosen : std::string(to_string(chosen.error().code));
  };
  EXPECT_EQ(choose("A", {}), "volume_09");
  EXPECT_EQ(choose("A", {}, FunctionId("volume_11")), "volume_11");
  EXPECT_EQ(choose("A", {}, FunctionId("volume_99")), "volume_09") << "it is gone";
  EXPECT_EQ(choose("A", {shows("volume_09", "vnvme.x")}), "volume_10");
  EXPECT_EQ(choose("A", {shows("volume_09", "vnvme.x")}, kFirst), "volume_09") << "left behind by its owner";
  EXPECT_EQ(choose("A", {shows("volume_09", "")}, kFirst), "volume_10") << "a stranger's";
  lent.give("volume_09", "B");
  EXPECT_EQ(choose("A", {}, kFirst), "volume_10");
  EXPECT_EQ(choose("B", {}, kSecond), "volume_09") << "it has one";
  for (const auto* slot : {"volume_10", "volume_11", "volume_12"}) lent.give(slot, slot);
  EXPECT_EQ(choose("A", {}), "no_space");
  lent.take_back("volume_12");
  EXPECT_EQ(choose("A", {}), "volume_12");
}
TEST(KalraySlots, WithoutAddressesNothingIsLent) {
  auto slots = kalray::make_slots({});
  auto chosen = kalray::choose_slot(*slots, {}, {}, "A", {});
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code, Errc::not_supported);
  EXPECT_NE(chosen.error().text.find("dpus[].functions"), std::string::npos);
}
TEST(KalraySlots, AreShownAsFunctionsAndExposures) {
  Lent lent;
  lent.give("volume_10", "A");
  std::vector<Bound> bound{shows("volume_09", ""), shows("volume_10", "vnvme.x")};
  auto functions = kalray::functions_of(four(), lent, bound);
  ASSERT_EQ(functions.size(), 4u);
  EXPECT_TRUE(functions[0].foreign);
  EXPECT_FALSE(functions[0].ready);
  EXPECT_FALSE(functions[1].foreign);
  EXPECT_TRUE(functions[1].ready);
  EXPECT_EQ(functions[1].serial, "A");
  EXPECT_EQ(functions[1].bdf, "0000:04:00.3");
  auto exposures = kalray::exposures_of(bound);
  ASSERT_EQ(exposures.size(), 2u);
  EXPECT_TRUE(exposures[0].foreign);
  EXPECT_FALSE(exposures[1].foreign);
  EXPECT_EQ(exposures[1].nsid, 1u);
  EXPECT_EQ(exposures[1].target, kVol);
}

// The card in memory: lvols with names in a store "lvs".
class Kalray : public testing::Test {
 protected:
  test::StillClock clock;
  boost::asio::io_context io;
  std::map<std::string, std::string> names{{kVol, "vnvme.a"}, {kVol2, "vnvme.b"}};  // on the card
  std::map<std::string, std::string> parents;                                       // uuid -> parent's name
  std::map<std::string, std::string> recorded;                                      // in the store
  std::string store_name = "lvs";
  bool loaded = true;
  test::Peer peer{io, [this](const Seen& seen) { return reply(seen); }};
  std::unique_ptr<Dpu> dpu;

  void SetUp() override { begin(); }
  void TearDown() override { finish(); }
  void begin() {
    auto card = spdk::make_spdk_dpu(io, std::make_unique<test::PeerConnector>(peer), "", std::nullopt,
                                    rpc::Client::Options{}, spdk::Quirks{.raid_persists = true});
    dpu = kalray::make_kalray_dpu(io, std::move(card), four());
    dpu->use_names([this](const DpuVolumeId& id) -> std::optional<std::string> {
      auto it = recorded.find(id.str());
      return it == recorded.end() ? std::nullopt : std::optional(it->second);
    });
    peer.on_cancel = [this] { dpu->shutdown(); };
    up();
  }
  void up(std::uint64_t seen = 0) {
    auto session = test::drive<Result<std::uint64_t>>(
        io, [this, seen] { return dpu->wait_generation(seen, Deadline::after(seconds(60))); });
    EXPECT_TRUE(session && *session) << dpu->trouble();
    peer.seen.clear();
  }
  void finish() {
    if (!dpu) return;
    dpu->shutdown();
    test::settle(io);
    dpu.reset();
    test::settle(io);
  }
  template <class T>
  Result<T> run(std::function<Task<Result<T>>()> make) {
    auto done = test::drive<Result<T>>(io, std::move(make));
    EXPECT_TRUE(done) << "the call never ended";
    return done ? std::move(*done) : fail(Errc::internal, "the call never ended");
  }
  static Deadline soon() { return Deadline::after(seconds(60)); }
  Result<Function> open(std::string serial, FunctionId preferred = {}) {
    return run<Function>([=, this] { return dpu->open_function(serial, soon(), preferred); });
  }
  Result<void> expose(FunctionId function, const std::string& volume, std::uint32_t nsid = 1) {
    Expose want{std::move(function), nsid, volume, kUuid};
    return run<void>([this, want] { return dpu->expose(want, soon()); });
  }
  Result<void> unexpose(FunctionId function) {
    return run<void>([=, this] { return dpu->unexpose(function, 1, soon()); });
  }
  Result<void> rename(const std::string& volume, std::string name) {
    return run<void>([=, this] { return dpu->rename_volume(DpuVolumeId(volume), name, soon()); });
  }
  Result<std::optional<DpuVolume>> find(const std::string& name) {
    return run<std::optional<DpuVolume>>([=, this] { return dpu->find_volume(PoolId(kPool), name, soon()); });
  }
  std::vector<Exposure> exposures() {
    auto all = run<std::vector<Exposure>>([this] { return dpu->list_exposures(soon()); });
    EXPECT_TRUE(all);
    return all ? *all : std::vector<Exposure>();
  }

 private:
  std::string record(const std::string& uuid) {
    auto text = test::vol_text({.uuid = uuid, .name = names[uuid]});
    auto at = text.find("lvs0/");
    text.replace(at, 5, store_name + "/");
    if (parents.contains(uuid))
      text.replace(text.find("\"clone\":false"), 13,
                   "\"clone\":true,\"base_snapshot\":\"" + parents[uuid] + "\"");
    return text;
  }
  std::optional<std::string> reply(const Seen& seen) {
    const std::string absent = R"(!{"code":-19,"message":"No such device"})";
    if (seen.method == "rpc_get_methods")
      return R"(["bdev_get_bdevs","bdev_lvol_create","bdev_lvol_snapshot","bdev_lvol_clone","bdev_lvol_resize","bdev_raid_create","bdev_raid_get_bdevs"])";
    if (seen.method == "spdk_get_version") return test::version_text(test::Kind::v23);
    if (seen.method == "bdev_lvol_get_lvstores") {
      auto text = test::pools_text();
      text.replace(text.find("lvs0"), 4, store_name);
      return loaded ? text : "[]";
    }
    if (seen.method == "bdev_get_bdevs" && seen.params.is_null()) {
      std::string all = "[";
      for (const auto& [uuid, name] : names) all += (all.size() > 1 ? "," : "") + record(uuid);
      return all + "]";
    }
    if (seen.method == "bdev_get_bdevs") {
      auto key = text_of(seen.params, "name").value_or("");
      for (const auto& [uuid, name] : names)
        if (loaded && (key == uuid || key == store_name + "/" + name)) return "[" + record(uuid) + "]";
      return absent;
    }
    if (seen.method == "bdev_lvol_rename") {
      auto uuid = text_of(seen.params, "old_name").value_or("");
      auto name = text_of(seen.params, "new_name").value_or("");
      if (!names.contains(uuid)) return absent;
      for (const auto& [other, taken] : names)
        if (taken == name) return R"(!{"code":-17,"message":"File exists"})";
      names[uuid] = name;
      return "true";
    }
    if (seen.method == "bdev_lvol_delete") {
      names.erase(text_of(seen.params, "name").value_or(""));
      return "true";
    }
    return R"(!{"code":-32601,"message":"Method not found"})";
  }
};

#define REFUSED(expression, errc)                                                          \
  do {                                                                                     \
    auto refused_ = (expression);                                                          \
    ASSERT_FALSE(refused_);                                                                \
    EXPECT_EQ(refused_.error().code, Errc::errc) << refused_.error().describe();           \
    EXPECT_EQ(refused_.error().outcome, Outcome::not_done) << refused_.error().describe(); \
  } while (0)
#define WORKS(expression)                             \
  do {                                                \
    auto works_ = (expression);                       \
    ASSERT_TRUE(works_) << works_.error().describe(); \
  } while (0)

TEST_F(Kalray, SaysWhatItCan) {
  const auto& can = dpu->capabilities();
  EXPECT_TRUE(can.late_binding && can.pci_functions && can.thin && can.snapshot && can.clone && can.resize);
  EXPECT_FALSE(can.create_functions || can.identity_chosen || can.allocation_known);
  EXPECT_EQ(can.max_functions, 4u);
  EXPECT_EQ(can.namespaces_per_function, 1u);
  EXPECT_EQ(can.pool_name, "lvs");
  EXPECT_EQ(can.raid_levels, (std::vector<std::string>{"raid0", "raid1", "raid10"}));
  auto identity = run<Identity>([this] { return dpu->identify(soon()); });
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->family, "kalray");
}
TEST_F(Kalray, ExposingRenamesAndTakingBackGivesTheNameBack) {
  WORKS(open("VM1"));
  WORKS(expose(kFirst, kVol));
  EXPECT_EQ(names[kVol], "volume_09");
  WORKS(expose(kFirst, kVol));
  auto all = exposures();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].uuid, kVol) << "its own, whatever was asked for";
  EXPECT_FALSE(all[0].foreign);
  WORKS(unexpose(kFirst));
  EXPECT_EQ(names[kVol], "vnvme.a");
  WORKS(unexpose(kFirst));
  EXPECT_TRUE(exposures().empty());
}
TEST_F(Kalray, AStrangersVolumeIsNeverTouched) {
  names[kVol2] = "volume_09";
  auto f = open("VM1");
  ASSERT_TRUE(f);
  EXPECT_EQ(f->id, kSecond);
  auto all = exposures();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(all[0].foreign);
  REFUSED(unexpose(kFirst), not_permitted);
  REFUSED(expose(kSecond, kVol2), in_use);
  REFUSED(rename(kVol2, "mine"), not_permitted);
  REFUSED(run<void>([this] { return dpu->delete_volume(DpuVolumeId(kVol2), soon()); }), in_use);
  REFUSED(run<void>([this] { return dpu->delete_pool(PoolId(kPool), soon()); }), in_use);
  EXPECT_EQ(names[kVol2], "volume_09");
  EXPECT_EQ(find("volume_09")->value().id.str(), kVol2);
}
// After we lent a function out somebody else may put his volume there.
TEST_F(Kalray, AFunctionThatAStrangerTookShowsNothingOfOurs) {
  WORKS(open("VM1"));
  names[kVol2] = "volume_09";
  REFUSED(expose(kFirst, kVol), in_use);
  EXPECT_EQ(names[kVol], "vnvme.a");
}
TEST_F(Kalray, ARestartedDaemonKnowsItsVolumesFromTheStore) {
  WORKS(open("VM1"));
  WORKS(expose(kFirst, kVol));
  finish();
  recorded[kVol] = "vnvme.a.label";
  begin();
  EXPECT_FALSE(exposures().at(0).foreign);
  EXPECT_EQ(find("vnvme.a.label")->value().id.str(), kVol);
  EXPECT_FALSE(*find("volume_09")) << "ours has another name";
  auto f = open("VM1", kFirst);
  ASSERT_TRUE(f);
  EXPECT_EQ(f->id, kFirst);
  WORKS(unexpose(kFirst));
  EXPECT_EQ(names[kVol], "vnvme.a.label");
}
TEST_F(Kalray, ASlotsNameInTheStoreIsNobodysOwn) {
  names[kVol] = "volume_09";
  recorded[kVol] = "volume_09";
  EXPECT_TRUE(exposures().at(0).foreign);
}
TEST_F(Kalray, ARenamedVolumeStaysWhereItIs) {
  WORKS(open("VM1"));
  WORKS(expose(kFirst, kVol));
  WORKS(rename(kVol, "vnvme.new"));
  EXPECT_EQ(names[kVol], "volume_09") << "its guest keeps its disk";
  EXPECT_EQ(find("vnvme.new")->value().id.str(), kVol);
  EXPECT_FALSE(*find("vnvme.a"));
  REFUSED(rename(kVol, "vnvme.b"), already_exists);
  WORKS(unexpose(kFirst));
  EXPECT_EQ(names[kVol], "vnvme.new");
}
TEST_F(Kalray, RelativesAreCalledByTheirOwnNames) {
  parents[kVol2] = "vnvme.a";
  WORKS(open("VM1"));
  WORKS(expose(kFirst, kVol));
  parents[kVol2] = "volume_09";  // as SPDK shows it then
  EXPECT_EQ(find("vnvme.b")->value().parent, "vnvme.a");
  auto all = run<std::vector<DpuVolume>>([this] { return dpu->list_volumes(PoolId(kPool), soon()); });
  ASSERT_TRUE(all);
  for (const auto& v : *all) EXPECT_FALSE(v.name.starts_with("volume_") || v.parent.starts_with("volume_"));
}
TEST_F(Kalray, AFunctionCarriesOneVolumeAndAVolumeIsOnOneFunction) {
  WORKS(open("VM1"));
  WORKS(open("VM2"));
  WORKS(expose(kFirst, kVol));
  REFUSED(expose(kFirst, kVol2), conflict);
  REFUSED(expose(kFirst, kVol2, 2), invalid_argument);
  REFUSED(expose(kFirst, kVol, 2), in_use);
  REFUSED(expose(kSecond, kVol), in_use);
  REFUSED(run<void>([this] { return dpu->close_function(kFirst, soon()); }), in_use);
  REFUSED(run<void>([this] { return dpu->shrink_volume(DpuVolumeId(kVol), MiB(1), soon()); }), in_use);
}
TEST_F(Kalray, OnlyVolumesOfItsStoreOnOpenedFunctions) {
  REFUSED(expose(kFirst, kVol), not_found);
  WORKS(open("VM1"));
  REFUSED(expose(kFirst, "HotInNvme1"), not_supported);
  REFUSED(expose(kFirst, "12345678-1234-4234-8234-123456789abc"), not_found);
  store_name = "other";
  REFUSED(expose(kFirst, kVol), not_supported);
}
TEST_F(Kalray, NoVolumeGetsTheNameOfAFunction) {
  CreateVolume want{PoolId(kPool), "volume_11", MiB(8), true};
  REFUSED(run<DpuVolumeId>([this, want] { return dpu->create_volume(want, soon()); }), invalid_argument);
  REFUSED(rename(kVol, "volume_11"), invalid_argument);
  DpuVolumeId id(kVol);
  REFUSED(run<DpuVolumeId>([=, this] { return dpu->snapshot_volume(id, "volume_11", soon()); }),
          invalid_argument);
  REFUSED(run<DpuVolumeId>([=, this] { return dpu->clone_volume(id, "volume_11", soon()); }),
          invalid_argument);
  CreatePool pool{"mine", "raid0", {}};
  REFUSED(run<PoolId>([this, pool] { return dpu->create_pool(pool, soon()); }), invalid_argument);
}
// I2: a store that is not loaded says nothing about its volumes.
TEST_F(Kalray, WhileItsStoreIsNotLoadedNothingIsAbsent) {
  WORKS(open("VM1"));
  WORKS(expose(kFirst, kVol));
  loaded = false;
  EXPECT_FALSE(find("vnvme.a"));
  auto by_id = run<std::optional<DpuVolume>>([this] { return dpu->find_volume(DpuVolumeId(kVol), soon()); });
  EXPECT_FALSE(by_id && *by_id);
  loaded = true;
  EXPECT_TRUE(*find("vnvme.a"));
}
// What the card says is no proof.
TEST_F(Kalray, ACardThatLiesAboutARenameIsNotBelieved) {
  WORKS(open("VM1"));
  auto honest = peer.answer;
  peer.answer = [honest](const Seen& seen) {
    return seen.method == "bdev_lvol_rename" ? std::optional<std::string>("true") : honest(seen);
  };
  auto exposed = expose(kFirst, kVol);
  ASSERT_FALSE(exposed);
  EXPECT_EQ(exposed.error().code, Errc::conflict);
  EXPECT_EQ(exposed.error().outcome, Outcome::unknown);
}
TEST_F(Kalray, ASearchDuringAnExposureFindsTheVolumeEitherWay) {
  WORKS(open("VM1"));
  // The rename is under way: done on the card, its answer not here yet.
  auto honest = peer.answer;
  std::optional<std::uint64_t> owed;
  peer.answer = [honest, &owed](const Seen& seen) -> std::optional<std::string> {
    auto said = honest(seen);
    if (seen.method != "bdev_lvol_rename") return said;
    owed = seen.id;
    return std::nullopt;
  };
  std::optional<Result<void>> exposed;
  Expose want{kFirst, 1, kVol, kUuid};
  boost::asio::co_spawn(
      io, [this, want] { return dpu->expose(want, soon()); },
      [&exposed](std::exception_ptr, Result<void> r) { exposed = std::move(r); });
  test::settle(io);
  ASSERT_TRUE(owed);
  std::optional<Result<std::optional<DpuVolume>>> found;
  boost::asio::co_spawn(
      io, [this] { return dpu->find_volume(PoolId(kPool), "vnvme.a", soon()); },
      [&found](std::exception_ptr, Result<std::optional<DpuVolume>> r) { found = std::move(r); });
  test::settle(io);
  EXPECT_FALSE(found) << "it waits until the name is decided";
  peer.say(1, R"({"jsonrpc":"2.0","id":)" + std::to_string(*owed) + R"(,"result":true})");
  test::settle(io);
  ASSERT_TRUE(exposed && *exposed);
  ASSERT_TRUE(found && *found && **found);
  EXPECT_EQ((**found)->id.str(), kVol);
}

class KalraySteps : public Kalray, public testing::WithParamInterface<const char*> {
 protected:
  void prepare() {
    finish();
    peer.fault = [](const Seen&) { return Fault::none; };
    names = {{kVol, "vnvme.a"}, {kVol2, "vnvme.b"}};
    recorded = {{kVol, "vnvme.a"}, {kVol2, "vnvme.b"}};
    begin();
    ASSERT_TRUE(open("VM1"));
    if (GetParam() != std::string("expose")) {
      ASSERT_TRUE(expose(kFirst, kVol));
    }
    peer.seen.clear();
  }
  Result<void> act() {
    std::string verb = GetParam();
    if (verb == "expose") return expose(kFirst, kVol);
    if (verb == "unexpose") return unexpose(kFirst);
    return rename(kVol, "vnvme.c");
  }
  [[nodiscard]] std::string before() const {
    return GetParam() == std::string("expose") ? "vnvme.a" : "volume_09";
  }
  [[nodiscard]] std::string after() const {
    return GetParam() == std::string("unexpose") ? "vnvme.a" : "volume_09";
  }
};
TEST_P(KalraySteps, EachFailsOnceInEveryWay) {
  std::size_t points = 0;
  for (auto fault : test::all_faults()) {
    for (std::size_t n = 0;; ++n) {
      ASSERT_LT(n, 40u);
      SCOPED_TRACE(std::string(GetParam()) + ", request " + std::to_string(n) + ": " + test::name_of(fault));
      prepare();
      std::size_t at = 0;
      bool hit = false, absent = false;
      peer.fault = [&](const Seen& seen) {
        if (seen.method == "rpc_get_methods" || seen.method == "spdk_get_version" || hit || at++ != n)
          return Fault::none;
        hit = true;
        // "No such device" to a question is the positive answer "absent", and is believed.
        absent = seen.method == "bdev_get_bdevs" && (fault == Fault::error_19 || fault == Fault::error_2);
        return fault;
      };
      auto done = act();
      if (!hit) break;
      ++points;
      if (done && !absent) {
        EXPECT_EQ(names[kVol], after());
      } else if (!done && done.error().outcome == Outcome::not_done) {
        EXPECT_EQ(names[kVol], before()) << done.error().describe();
      }
      // It heals, and the same call again gets to the goal.
      peer.fault = [](const Seen&) { return Fault::none; };
      if (fault == Fault::cancelled) {
        finish();
        begin();
        ASSERT_TRUE(open("VM1", kFirst));
      } else {
        up();
      }
      Result<void> again = fail(Errc::internal, "not tried");
      for (int tries = 0; tries < 6 && !again; ++tries) again = act();
      ASSERT_TRUE(again) << again.error().describe();
      EXPECT_EQ(names[kVol], after());
    }
  }
  std::printf("F1 kalray %s: %zu points\n", GetParam(), points);
  EXPECT_GT(points, 30u);
}
INSTANTIATE_TEST_SUITE_P(F1, KalraySteps, testing::Values("expose", "unexpose", "rename"),
                         [](const auto& one) { return std::string(one.param); });

// What the public capture of a K200 says, decoded.
class K200 : public testing::Test {
 protected:
  static std::string result_of(const std::string& method) {
    for (const auto& line : test::read_jsonl(std::string(VNVME_TEST_DATA) + "/kalray/k200.jsonl"))
      if (text_of(line, "method") == method) return dump_json(*member(line, "result"));
    ADD_FAILURE() << method << " was not recorded";
    return "";
  }
};
TEST_F(K200, ItsDrives) {
  std::vector<spdk::Bdev> drives;
  auto done = spdk::decode_bdevs(result_of("bdev_get_bdevs"), [&drives](spdk::Bdev b) -> Result<void> {
    drives.push_back(std::move(b));
    return {};
  });
  ASSERT_TRUE(done) << done.error().describe();
  ASSERT_EQ(drives.size(), 2u);
  EXPECT_EQ(drives[0].name, "HotInNvmeWDS500AFY0-22050C800415n1");
  EXPECT_EQ(drives[0].serial, "22050C800415");
  EXPECT_EQ(drives[0].model, "WDS500G1X0E-00AFY0");
  EXPECT_EQ(drives[0].size, Bytes{976773168ull * 512});
  EXPECT_FALSE(drives[0].claimed);
}
TEST_F(K200, ItsRaidsAreNames) {
  auto raids = spdk::decode_raids(result_of("bdev_raid_get_bdevs"));
  ASSERT_TRUE(raids) << raids.error().describe();
  ASSERT_EQ(raids->size(), 1u);
  EXPECT_EQ(raids->front().name, "raid0");
  EXPECT_FALSE(spdk::decode_raids(R"(["raid0",7])"));
  EXPECT_FALSE(spdk::decode_raids(R"(["bad\q"])"));
}
TEST_F(K200, ItsStoreAndVolume) {
  auto stores = spdk::decode_lvstores(result_of("bdev_lvol_get_lvstores"));
  ASSERT_TRUE(stores) << stores.error().describe();
  ASSERT_EQ(stores->size(), 1u);
  EXPECT_EQ(stores->front().name, kalray::kStore);
  EXPECT_EQ(stores->front().drive, "raid0");
  EXPECT_EQ(stores->front().cluster, MiB(32));
  EXPECT_EQ(stores->front().total, MiB(32 * 29804));
  EXPECT_EQ(result_of("bdev_lvol_create"), "\"6c84b44c-a61b-41a4-8b19-32ab643b57d9\"");
}

TEST(KalrayAddress, NamesWhatIsWrong) {
  boost::asio::io_context io;
  auto why = [&io](Options options) {
    auto made = make_dpu(io, options);
    if (made) (*made)->shutdown();
    EXPECT_FALSE(made) << options.uri;
    io.poll();
    return made ? std::string() : made.error().text;
  };
  EXPECT_NE(why({.uri = "kalray:card:8080", .credentials = "/c"}).find("numeric"), std::string::npos);
  EXPECT_NE(why({.uri = "kalray:127.0.0.1:0", .credentials = "/c"}).find("kalray:ADDRESS:PORT"),
            std::string::npos);
  EXPECT_NE(why({.uri = "kalray:127.0.0.1:8080"}).find("credentials"), std::string::npos);
  EXPECT_NE(why({.uri = "kalray:127.0.0.1:8080", .credentials = "relative"}).find("relative"),
            std::string::npos);
  EXPECT_NE(why({.uri = "kalray:127.0.0.1:8080", .listener = "tcp:127.0.0.1:1", .credentials = "/c"})
                .find("listener"),
            std::string::npos);
  EXPECT_NE(why({.uri = "kalray:127.0.0.1:8080", .clear_method = "zap", .credentials = "/c"}).find("zap"),
            std::string::npos);
  EXPECT_NE(
      why({.uri = "kalray:127.0.0.1:8080", .credentials = "/c", .functions = {{"volume_09", "x"}}}).find("x"),
      std::string::npos);
  EXPECT_NE(why({.uri = "http:127.0.0.1:8080"}).find("kalray:"), std::string::npos);
}

}  // namespace
}  // namespace vnvme::dpu
