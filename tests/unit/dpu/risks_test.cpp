// The fifteen top risks of a real SPDK target, each found by trying (recordings
// of v26.05 and v23.01). A test asserts what the client sends, or refuses to
// send, so that the target cannot do its worst.
#include <gtest/gtest.h>

#include <boost/asio/detached.hpp>
#include <set>

#include "support/dpu_fixture.hpp"

namespace vnvme {
namespace {

using namespace test;
using std::chrono::seconds;
const DpuVolumeId kId(kVol), kId2(kVol2);
const PoolId kIn(kPool);

Exchange look(const VolText& v = {}) {
  return {"bdev_get_bdevs", list({vol_text(v)})};
}
const std::string kNew = std::string("\"") + kVol2 + "\"";

Result<void> resize(DpuOnPeer& w, Bytes size) {
  return w.run<void>([&w, size] { return w.dpu->resize_volume(kId, size, w.soon()); });
}
Result<DpuVolumeId> create(DpuOnPeer& w, const std::string& name, Bytes size = MiB(8)) {
  return w.run<DpuVolumeId>([&w, name, size] {
    dpu::CreateVolume want{kIn, name, size, true};
    return w.dpu->create_volume(want, w.soon());
  });
}

// Runs in the background. Shared: the coroutine may end only when the fixture does, after the test's own
// variables.
template <class T>
std::shared_ptr<std::optional<Result<T>>> start(DpuOnPeer& w, std::function<Task<Result<T>>()> make) {
  auto into = std::make_shared<std::optional<Result<T>>>();
  boost::asio::co_spawn(w.io, make, [into](std::exception_ptr, Result<T> r) { *into = std::move(r); });
  settle(w.io);
  return into;
}

TEST(Risk01_DeleteOfAnExportedVolume, TheServiceSeesEveryExportForeignOnesToo) {
  DpuOnPeer w;
  w.play({{"nvmf_get_subsystems", list({subsystem_text(kForeignNqn, "X", namespace_text(3, kVol, kVol)),
                                        subsystem_text(kNqn, "VM1", namespace_text(1, kVol2, kVol2))})}});
  auto all = w.run<std::vector<dpu::Exposure>>([&w] { return w.dpu->list_exposures(w.soon()); });
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].target, kVol);
  EXPECT_TRUE((*all)[0].foreign);
  EXPECT_FALSE((*all)[1].foreign);
}

TEST(Risk01_DeleteOfAnExportedVolume, AListingThatFailsIsNeverAnEmptyOne) {
  for (const std::string bad :
       {"!{\"code\":-32603,\"message\":\"Internal error\"}", "true", "[{}]", "null"}) {
    DpuOnPeer w;
    w.play({{"nvmf_get_subsystems", bad}});
    EXPECT_FALSE(w.run<std::vector<dpu::Exposure>>([&w] { return w.dpu->list_exposures(w.soon()); })) << bad;
  }
}

TEST(Risk02_Shrink, IsNeverSent) {
  for (auto size : {Bytes{0}, MiB(1), MiB(99), Bytes{MiB(100).value - 1}}) {
    DpuOnPeer w;
    w.play({look(), look()});
    auto done = resize(w, size);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Errc::invalid_argument);
    EXPECT_EQ(done.error().outcome, Outcome::not_done);
    EXPECT_EQ(w.count("bdev_lvol_resize"), 0u);
  }
}

TEST(Risk02_Shrink, TheSameSizeIsSuccessAndGrowingIsSent) {
  DpuOnPeer w;
  w.play({look(), look()});
  EXPECT_TRUE(resize(w, MiB(100)));
  EXPECT_EQ(w.count("bdev_lvol_resize"), 0u);
  w.play({look(), {"bdev_lvol_resize", "true", Json{{"name", kVol}, {"size_in_mib", 101}}}});
  EXPECT_TRUE(resize(w, Bytes{MiB(100).value + 1}));
}

TEST(Risk02_Shrink, BusyFromResizeIsNotUnchanged) {
  DpuOnPeer w;
  w.play({look(), look(), {"bdev_lvol_resize", R"(!{"code":-32602,"message":"Device or resource busy"})"}});
  auto done = resize(w, GiB(1));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().outcome, Outcome::unknown);
}

TEST(Risk02_Shrink, OfTrashIsSentUnlessSomebodyHasItOpen) {
  auto shrink = [](DpuOnPeer& w, Bytes size) {
    return w.run<void>([&w, size] { return w.dpu->shrink_volume(kId, size, w.soon()); });
  };
  DpuOnPeer open;
  open.play({look(), look({.claimed = true})});
  auto refused = shrink(open, MiB(8));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::in_use);
  EXPECT_EQ(refused.error().outcome, Outcome::not_done);
  EXPECT_EQ(open.count("bdev_lvol_resize"), 0u);
  DpuOnPeer idle;
  idle.play({look(), look(), {"bdev_lvol_resize", "true", Json{{"name", kVol}, {"size_in_mib", 8}}}});
  EXPECT_TRUE(shrink(idle, MiB(8)));
  idle.play({look({.blocks = 2048})});
  EXPECT_TRUE(shrink(idle, MiB(9))) << "smaller already";
  EXPECT_EQ(idle.count("bdev_lvol_resize"), 1u);
}

TEST(Risk02_Shrink, TheSizeIsReadInsideTheLane) {
  // Between two resizes the size changes: the second must see what the first made.
  DpuOnPeer w;
  w.play({look(), look(), {"bdev_lvol_resize", "true"}, look({.blocks = 51200})});
  auto first = start<void>(w, [&w] { return w.dpu->resize_volume(kId, MiB(200), w.soon()); });
  auto second = start<void>(w, [&w] { return w.dpu->resize_volume(kId, MiB(150), w.soon()); });
  ASSERT_TRUE(*first && **first);
  ASSERT_TRUE(*second);
  EXPECT_FALSE(**second);
  EXPECT_EQ(w.count("bdev_lvol_resize"), 1u);
}

class Risk03_PipelinedMutations : public testing::Test {
 protected:
  DpuOnPeer w;
  std::set<std::string> held;
  void SetUp() override {
    w.mode = DpuOnPeer::Mode::frozen;
    w.script = {look(), {"bdev_lvol_create", kNew}, {"bdev_lvol_delete", "true"}};
    w.at = w.script.size();
    w.peer.fault = [this](const Seen& s) { return held.contains(s.method) ? Fault::silence : Fault::none; };
  }
  void answer_last(const std::string& method) {
    for (auto it = w.peer.seen.rbegin(); it != w.peer.seen.rend(); ++it) {
      if (it->method != method) continue;
      w.peer.say(it->connection,
                 R"({"jsonrpc":"2.0","id":)" + std::to_string(it->id) + R"(,"result":)" + kNew + "}");
      break;
    }
    settle(w.io);
  }
};

TEST_F(Risk03_PipelinedMutations, TheSecondWaitsForTheAnswerOfTheFirst) {
  held = {"bdev_lvol_create"};
  auto one = start<DpuVolumeId>(w, [this] {
    dpu::CreateVolume v{kIn, "a", MiB(8), true};
    return w.dpu->create_volume(v, w.soon());
  });
  auto two = start<void>(w, [this] { return w.dpu->delete_volume(kId, w.soon()); });
  EXPECT_EQ(w.count("bdev_lvol_create"), 1u);
  EXPECT_EQ(w.count("bdev_lvol_delete"), 0u);
  answer_last("bdev_lvol_create");
  EXPECT_TRUE(*one && **one);
  EXPECT_TRUE(*two && **two);
  EXPECT_EQ(w.count("bdev_lvol_delete"), 1u);
}

TEST_F(Risk03_PipelinedMutations, BusyNamesTheHolderWhenTheDeadlineComesFirst) {
  held = {"bdev_lvol_create"};
  auto one = start<DpuVolumeId>(w, [this] {
    dpu::CreateVolume v{kIn, "a", MiB(8), true};
    return w.dpu->create_volume(v, w.soon());
  });
  auto two = w.run<void>([this] { return w.dpu->delete_volume(kId, Deadline::after(seconds(2))); });
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().code, Errc::busy);
  EXPECT_EQ(two.error().outcome, Outcome::not_done);
  EXPECT_NE(two.error().text.find("creating volume a"), std::string::npos) << two.error().text;
  EXPECT_EQ(w.count("bdev_lvol_delete"), 0u);
}

TEST_F(Risk03_PipelinedMutations, AMissedDeadlineKeepsTheLaneShutUntilTheLateAnswer) {
  held = {"bdev_lvol_create"};
  auto one = create(w, "a");
  ASSERT_FALSE(one);
  EXPECT_EQ(one.error().code, Errc::timeout);
  auto two = w.run<void>([this] { return w.dpu->delete_volume(kId, Deadline::after(seconds(2))); });
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().code, Errc::busy) << "the target may still be at work on the first one";
  EXPECT_EQ(w.count("bdev_lvol_delete"), 0u);
  answer_last("bdev_lvol_create");
  EXPECT_TRUE(w.run<void>([this] { return w.dpu->delete_volume(kId, w.soon()); }));
}

TEST_F(Risk03_PipelinedMutations, ATargetThatLosesAnAnswerIsWaitedForAsLongAgain) {
  held = {"bdev_lvol_create"};
  EXPECT_FALSE(create(w, "a"));  // after 10 s, the most for a short call
  auto quiet = [this](MonoClock::duration limit) {
    return w.run<void>([this, limit] { return w.dpu->quiet(kIn, Deadline::after(limit)); });
  };
  EXPECT_TRUE(w.run<void>([this] { return w.dpu->quiet(PoolId(), w.soon()); })) << "the lane of the drives";
  auto still = quiet(seconds(8));
  ASSERT_FALSE(still) << "what the target does late would be taken for absent";
  EXPECT_EQ(still.error().code, Errc::busy);
  EXPECT_TRUE(quiet(seconds(3)));
  EXPECT_TRUE(w.run<void>([this] { return w.dpu->delete_volume(kId, w.soon()); }));
  EXPECT_EQ(w.dpu->generation(), 1u) << "the session lives: the target answers other questions";
}

TEST_F(Risk03_PipelinedMutations, ATargetThatIsSilentAltogetherIsLeft) {
  held = {"bdev_lvol_create", "spdk_get_version"};
  EXPECT_FALSE(create(w, "a"));
  EXPECT_FALSE(w.run<void>([this] { return w.dpu->delete_volume(kId, Deadline::after(seconds(11))); }));
  EXPECT_FALSE(w.dpu->connected());
  held.clear();
  ASSERT_TRUE(w.run<std::uint64_t>([this] { return w.dpu->wait_generation(1, w.soon()); }));
  EXPECT_TRUE(w.run<void>([this] { return w.dpu->delete_volume(kId, w.soon()); }));
}

TEST_F(Risk03_PipelinedMutations, ReadsAreNotHeldUp) {
  held = {"bdev_lvol_create"};
  auto one = start<DpuVolumeId>(w, [this] {
    dpu::CreateVolume v{kIn, "a", MiB(8), true};
    return w.dpu->create_volume(v, w.soon());
  });
  w.play({{"bdev_lvol_get_lvstores", pools_text()}});
  EXPECT_TRUE(w.run<std::vector<dpu::Pool>>([this] { return w.dpu->list_pools(w.soon()); }));
  EXPECT_FALSE(*one);
  EXPECT_NE(w.peer.seen.front().connection, w.peer.seen.back().connection)
      << "reads have their own connection";
}

TEST(Risk04_UnknownKeys, EachVersionGetsOnlyTheKeysItKnows) {
  DpuOnPeer modern(Kind::v26);
  modern.play({{"bdev_lvol_create", kNew,
                Json{{"uuid", kPool},
                     {"lvol_name", "a"},
                     {"thin_provision", true},
                     {"size_in_mib", 9},
                     {"clear_method", "write_zeroes"}}}});
  EXPECT_TRUE(create(modern, "a", Bytes{MiB(8).value + 1}));
}
TEST(Risk04_UnknownKeys, TheOldOneGetsBytes) {
  DpuOnPeer old(Kind::v23);
  old.play({{"bdev_lvol_create", kNew,
             Json{{"uuid", kPool},
                  {"lvol_name", "a"},
                  {"thin_provision", true},
                  {"size", MiB(8).value},
                  {"clear_method", "write_zeroes"}}}});
  EXPECT_TRUE(create(old, "a"));
  old.play({look(), look(), {"bdev_lvol_resize", "true", Json{{"name", kVol}, {"size", GiB(1).value}}}});
  EXPECT_TRUE(resize(old, GiB(1)));
}
TEST(Risk04_UnknownKeys, IostatTurnsRoundWhenItsKeyIsRefused) {
  const std::string stat =
      R"({"bdevs":[{"num_read_ops":1,"num_write_ops":2,"bytes_read":3,"bytes_written":4}]})";
  DpuOnPeer w(Kind::v26);
  w.play({{"bdev_get_iostat", R"(!{"code":-32603,"message":"spdk_json_decode_object failed"})",
           Json{{"names", {kVol}}}},
          {"bdev_get_iostat", stat, Json{{"name", kVol}}},
          {"bdev_get_iostat", stat, Json{{"name", kVol}}}});
  for (int i = 0; i < 2; ++i) {
    auto got = w.run<dpu::IoStat>([&w] { return w.dpu->io_stat(kId, w.soon()); });
    ASSERT_TRUE(got);
    EXPECT_EQ(got->write_bytes, 4u);
  }
}

TEST(Risk05_EmptyParams, AreLeftOutOfTheRequest) {
  DpuOnPeer w;
  w.peer.raw.clear();
  w.play({{"bdev_lvol_get_lvstores", "[]"},
          {"bdev_wait_for_examine", "true"},
          {"nvmf_get_subsystems", "[]"},
          {"bdev_lvol_get_lvols", "[]"},
          {"spdk_get_version", version_text(Kind::v26)}});
  EXPECT_TRUE(w.run<std::vector<dpu::Pool>>([&w] { return w.dpu->list_pools(w.soon()); }));
  EXPECT_TRUE(w.run<void>([&w] { return w.dpu->settle(w.soon()); }));
  EXPECT_TRUE(w.run<std::vector<dpu::Function>>([&w] { return w.dpu->list_functions(w.soon()); }));
  EXPECT_TRUE(
      w.run<std::vector<dpu::DpuVolume>>([&w] { return w.dpu->list_volume_names(PoolId(), w.soon()); }));
  EXPECT_TRUE(w.run<dpu::Identity>([&w] { return w.dpu->identify(w.soon()); }));
  ASSERT_EQ(w.peer.raw.size(), 5u);
  for (const auto& text : w.peer.raw) {
    EXPECT_EQ(text.find("params"), std::string::npos) << text;
    EXPECT_NE(text.find("\"id\":"), std::string::npos) << "never a notification";
    EXPECT_EQ(text.front(), '{') << "never a batch";
  }
}

TEST(Risk06_ErrorCodes, PositiveErrnoAndTextsMeanTheSame) {
  for (const char* said :
       {R"(!{"code":17,"message":"Unknown error -17"})", R"(!{"code":-17,"message":"File exists"})",
        R"(!{"code":-32602,"message":"File exists"})"}) {
    DpuOnPeer w;
    w.play({{"bdev_lvol_create", said}});
    auto made = create(w, "a");
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Errc::already_exists) << said;
  }
}

TEST(Risk07_Names, AreCheckedBeforeTheyAreSent) {
  for (const std::string& name :
       {std::string(), std::string(64, 'z'), std::string("\xFF"), std::string("a\nb")}) {
    DpuOnPeer w;
    w.play({});
    EXPECT_EQ(create(w, name).error().code, Errc::invalid_argument);
    EXPECT_EQ(w.run<void>([&] { return w.dpu->rename_volume(kId, name, w.soon()); }).error().code,
              Errc::invalid_argument);
    EXPECT_EQ(w.run<DpuVolumeId>([&] { return w.dpu->snapshot_volume(kId, name, w.soon()); }).error().code,
              Errc::invalid_argument);
    EXPECT_EQ(w.run<DpuVolumeId>([&] { return w.dpu->clone_volume(kId, name, w.soon()); }).error().code,
              Errc::invalid_argument);
    EXPECT_TRUE(w.peer.seen.empty());
  }
}
TEST(Risk07_Names, ForeignOnesOfAnyKindAreListed) {
  DpuOnPeer w;
  w.play({{"bdev_lvol_get_lvstores", pools_text()},
          {"bdev_get_bdevs",
           list({vol_text({.name = ""}), vol_text({.uuid = kVol2, .name = std::string(64, 'z')})})}});
  auto all = w.run<std::vector<dpu::DpuVolume>>([&w] { return w.dpu->list_volumes(kIn, w.soon()); });
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].name, "");
  EXPECT_EQ((*all)[1].name.size(), 64u);
}

TEST(Risk08_SnapshotDelete, ChildrenAreToldAndTwoClonesAreInUse) {
  DpuOnPeer w;
  w.play({{"bdev_lvol_get_lvstores", pools_text()},
          {"bdev_get_bdevs", list({vol_text({.snapshot = true, .extra = R"(,"clones":["c1","c2"])"})})}});
  auto all = w.run<std::vector<dpu::DpuVolume>>([&w] { return w.dpu->list_volumes(kIn, w.soon()); });
  ASSERT_TRUE(all);
  EXPECT_EQ((*all)[0].children, (std::vector<std::string>{"c1", "c2"}));
  w.play({{"bdev_lvol_delete", R"(!{"code":-32603,"message":"Operation not permitted"})"}});
  auto gone = w.run<void>([&w] { return w.dpu->delete_volume(kId, w.soon()); });
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Errc::in_use);
  EXPECT_EQ(gone.error().outcome, Outcome::not_done);
}

TEST(Risk09_ThickBecomesThin, ThinAndAllocationAreReadBack) {
  DpuOnPeer w;
  w.play({look(), {"bdev_lvol_get_lvstores", pools_text()}});
  auto found = w.run<std::optional<dpu::DpuVolume>>([&w] { return w.dpu->find_volume(kId, w.soon()); });
  ASSERT_TRUE(found && *found);
  EXPECT_TRUE((*found)->thin);
  EXPECT_EQ((*found)->allocated, MiB(3));
  w.play({{"bdev_lvol_inflate", R"(!{"code":-32602,"message":"No space left on device"})"}});
  EXPECT_EQ(w.run<void>([&w] { return w.dpu->inflate_volume(kId, w.soon()); }).error().code, Errc::no_space);
}

TEST(Risk10_ThinStoreFull, FreeClustersAreToldOfEveryPool) {
  DpuOnPeer w;
  auto text = pools_text();
  text.replace(text.find("\"free_clusters\":1000"), 20, "\"free_clusters\":0");
  w.play({{"bdev_lvol_get_lvstores", text}});
  auto pools = w.run<std::vector<dpu::Pool>>([&w] { return w.dpu->list_pools(w.soon()); });
  ASSERT_TRUE(pools);
  EXPECT_EQ((*pools)[0].free.value, 0u);
  EXPECT_EQ((*pools)[0].total, MiB(2039));
}

TEST(Risk11_ExternalSnapshots, AreNeverMade) {
  // A clone is always made of a volume: cloning a drive, which would be bdev_lvol_clone_bdev, finds no
  // volume.
  DpuOnPeer w;
  w.play({{"bdev_get_bdevs", list({drive_text("aio0")})}});
  auto made = w.run<DpuVolumeId>([&w] { return w.dpu->clone_volume(DpuVolumeId("aio0"), "c", w.soon()); });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::not_found);
  EXPECT_EQ(w.peer.seen.size(), 1u);
}

TEST(Risk12_SaveConfig, QosNeedsNothingSavedOnTheTarget) {
  // save_config is the client's work in SPDK, and one with QoS in it makes the target refuse to start.
  // Setting a limit sends bdev_set_qos_limit and nothing that would save it.
  DpuOnPeer w;
  w.play({look({.claimed = true}), look({.claimed = true}), {"bdev_set_qos_limit", "true"}});
  EXPECT_TRUE(w.run<void>([&w] { return w.dpu->set_qos(kId, 5000, 0, w.soon()); }));
  for (const auto& seen : w.peer.seen) {
    EXPECT_EQ(seen.method.find("config"), std::string::npos);
    EXPECT_EQ(seen.method.find("framework"), std::string::npos);
  }
  EXPECT_EQ(w.peer.seen.size(), 3u);
}

TEST(Risk13_Qos, ASecondLimitOnAVolumeThatNobodyHasOpenIsRefused) {
  DpuOnPeer w;
  w.play({look(),
          look(),
          {"bdev_set_qos_limit", "true",
           Json{{"name", kVol}, {"rw_ios_per_sec", 2000}, {"rw_mbytes_per_sec", 0}}},
          look({.iops = 2000})});
  EXPECT_TRUE(w.run<void>([&w] { return w.dpu->set_qos(kId, 1500, 0, w.soon()); }));
  auto second = w.run<void>([&w] { return w.dpu->set_qos(kId, 3000, 0, w.soon()); });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::busy);
  EXPECT_EQ(w.count("bdev_set_qos_limit"), 1u);
}
TEST(Risk13_Qos, AlsoWhenTheFirstOneFailedOrWasSetByAnother) {
  DpuOnPeer w;
  w.play({look(), look(), {"bdev_set_qos_limit", R"(!{"code":-5,"message":"Input/output error"})"}, look()});
  EXPECT_FALSE(w.run<void>([&w] { return w.dpu->set_qos(kId, 1000, 0, w.soon()); }));
  EXPECT_EQ(w.run<void>([&w] { return w.dpu->set_qos(kId, 1000, 0, w.soon()); }).error().code, Errc::busy);
  DpuOnPeer other;
  other.play({look({.iops = 9000}), look({.iops = 9000})});
  EXPECT_EQ(other.run<void>([&other] { return other.dpu->set_qos(kId, 1000, 0, other.soon()); }).error().code,
            Errc::busy);
}
TEST(Risk13_Qos, TheSameLimitIsSuccessAndAnExposedVolumeTakesAny) {
  DpuOnPeer w;
  w.play({look({.iops = 2000}), look({.iops = 2000})});
  EXPECT_TRUE(w.run<void>([&w] { return w.dpu->set_qos(kId, 2000, 0, w.soon()); }));
  w.play({look({.claimed = true, .iops = 2000}),
          {"bdev_set_qos_limit", "true"},
          look({.claimed = true, .iops = 3000}),
          {"bdev_set_qos_limit", "true"}});
  EXPECT_TRUE(w.run<void>([&w] { return w.dpu->set_qos(kId, 3000, 0, w.soon()); }));
  EXPECT_TRUE(w.run<void>([&w] { return w.dpu->set_qos(kId, 0, 0, w.soon()); }));
}

TEST(Risk14_StaleData, TheClearMethodOfNewVolumesCanBeChosen) {
  DpuOnPeer w(Kind::v26, "write_zeroes");
  w.play({{"bdev_lvol_create", kNew,
           Json{{"uuid", kPool},
                {"lvol_name", "a"},
                {"thin_provision", true},
                {"size_in_mib", 8},
                {"clear_method", "write_zeroes"}}}});
  EXPECT_TRUE(create(w, "a"));
  boost::asio::io_context io;
  EXPECT_FALSE(dpu::make_dpu(io, {.uri = "unix:/x", .clear_method = "bogus", .listener = ""}));
}

TEST(Risk15_OwnInitiator, TheClientNeverAttachesControllers) {
  // An initiator inside the target that exports stalls all its RPC for 60 s. Exposing sends only subsystem
  // calls.
  DpuOnPeer w;
  auto before = list({subsystem_text(kNqn, "VM1")}),
       after = list({subsystem_text(kNqn, "VM1", namespace_text(1, kVol, kVol))});
  w.play({{"nvmf_get_subsystems", before},
          {"nvmf_subsystem_add_ns", "1"},
          {"nvmf_get_subsystems", after},
          {"nvmf_get_subsystems", after},
          {"nvmf_subsystem_remove_ns", "true"},
          {"nvmf_get_subsystems", before}});
  dpu::Expose want{FunctionId(kNqn), 1, kVol, kVol};
  EXPECT_TRUE(w.run<void>([&] { return w.dpu->expose(want, w.soon()); }));
  EXPECT_TRUE(w.run<void>([&] { return w.dpu->unexpose(want.function, 1, w.soon()); }));
  for (const auto& seen : w.peer.seen) EXPECT_TRUE(seen.method.starts_with("nvmf_")) << seen.method;
}

// What is absent, and what is only unknown (I2).
TEST(Absence, IsAPositiveAnswerOfATargetThatHasThePool) {
  DpuOnPeer w;
  const std::string gone = R"(!{"code":-19,"message":"No such device"})";
  w.play({{"bdev_lvol_get_lvstores", pools_text()}, {"bdev_get_bdevs", gone}});
  auto found = w.run<std::optional<dpu::DpuVolume>>([&w] { return w.dpu->find_volume(kIn, "v", w.soon()); });
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
  w.play({{"bdev_lvol_get_lvstores", "[]"}});
  EXPECT_EQ(w.run<std::optional<dpu::DpuVolume>>([&w] { return w.dpu->find_volume(kIn, "v", w.soon()); })
                .error()
                .code,
            Errc::not_found);
  w.play({{"bdev_lvol_get_lvstores", "[]"}});
  EXPECT_FALSE(w.run<std::vector<dpu::DpuVolume>>([&w] { return w.dpu->list_volumes(kIn, w.soon()); }))
      << "no pool is not an empty pool";
}
TEST(Absence, OfAVolumeWhosePoolIsNotLoadedIsUnknown) {
  DpuOnPeer w;
  w.play({look(), {"bdev_lvol_get_lvstores", pools_text()}});
  ASSERT_TRUE(w.run<std::optional<dpu::DpuVolume>>([&w] { return w.dpu->find_volume(kId, w.soon()); }));
  w.play(
      {{"bdev_get_bdevs", R"(!{"code":-19,"message":"No such device"})"}, {"bdev_lvol_get_lvstores", "[]"}});
  EXPECT_FALSE(w.run<std::optional<dpu::DpuVolume>>([&w] { return w.dpu->find_volume(kId, w.soon()); }));
}

TEST(Raids, AMissingBaseIsRefusedBecauseSpdkWouldWaitWithoutEnd) {
  DpuOnPeer w;
  w.play({{"bdev_get_bdevs", list({drive_text("aio0")})}});
  dpu::CreateRaid want{"r", "raid1", 0, {"aio0", "nope"}};
  EXPECT_EQ(w.run<void>([&] { return w.dpu->create_raid(want, w.soon()); }).error().code, Errc::not_found);
  w.play({{"bdev_lvol_get_lvstores", pools_text()}});
  EXPECT_EQ(w.run<void>([&] { return w.dpu->delete_raid("aio0", w.soon()); }).error().code, Errc::in_use);
}

TEST(Registry, KnowsTheSchemes) {
  boost::asio::io_context io;
  EXPECT_TRUE(
      dpu::make_dpu(io, {.uri = "unix:/tmp/x", .clear_method = "", .listener = "tcp:127.0.0.1:4420"}));
  EXPECT_TRUE(dpu::make_dpu(io, {.uri = "tcp:127.0.0.1:5260", .clear_method = "unmap", .listener = ""}));
  for (const char* uri : {"http://x", "", "nvme:/dev/nvme0", "unix:"})
    EXPECT_FALSE(dpu::make_dpu(io, {.uri = uri, .clear_method = "", .listener = ""})) << uri;
  for (const char* listener : {"127.0.0.1:4420", "tcp::4420", "tcp:x", "tcp:127.0.0.1:"})
    EXPECT_FALSE(dpu::make_dpu(io, {.uri = "unix:/tmp/x", .clear_method = "", .listener = listener}))
        << listener;
}

}  // namespace
}  // namespace vnvme
