// The rules of the port, on every store that there is.
#include "state/memory_store.hpp"
#include "state/sqlite_store.hpp"
#include "unit/state/state_support.hpp"

namespace vnvme::state {
namespace {

class Rules : public ::testing::TestWithParam<bool> {
 protected:
  Rules() {
    if (GetParam()) {
      auto opened = open_sqlite_store(io_.get_executor(), {.path = folder_ / "state.db"});
      EXPECT_TRUE(opened) << opened.error().describe();
      store_ = std::move(*opened);
    } else {
      store_ = std::make_unique<MemoryStore>();
    }
  }
  Result<void> commit(std::vector<Change> changes) {
    return run_task(io_, store_->commit(std::move(changes)));
  }
  Snapshot load() {
    auto loaded = run_task(io_, store_->load());
    EXPECT_TRUE(loaded) << loaded.error().describe();
    return loaded ? *loaded : Snapshot{};
  }
  static Change hold(const std::string& owner, AttachMode mode, const std::string& volume = "v1") {
    AttachmentRecord r;
    r.volume = VolumeId(volume), r.owner = owner, r.mode = mode;
    return Put<AttachmentRecord>{r};
  }

  boost::asio::io_context io_;
  TempFolder folder_;
  std::unique_ptr<Store> store_;
};

constexpr auto kRw = AttachMode::read_write;
constexpr auto kRo = AttachMode::read_only;
constexpr auto kNone = AttachMode::none;

TEST_P(Rules, OneReadWriteOwner) {  // I3
  ASSERT_TRUE(commit({hold("vm:a", kRw)}));
  auto second = commit({hold("vm:b", kRw)});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::in_use);
  EXPECT_EQ(second.error().outcome, Outcome::not_done);
  EXPECT_NE(second.error().text.find("v1"), std::string::npos);
  EXPECT_TRUE(commit({hold("vm:a", kRw)})) << "the same owner again is no conflict";
  EXPECT_TRUE(commit({hold("vm:b", kRw, "v2")})) << "another volume is another matter";
  EXPECT_TRUE(commit({hold("vm:b", kNone)})) << "an owner without access disturbs nobody";
  EXPECT_FALSE(commit({hold("vm:b", kRw)}));
  EXPECT_EQ(load().attachments.size(), 3u);
}

TEST_P(Rules, ReadOnlyAndReadWriteNeverMix) {  // I3
  ASSERT_TRUE(commit({hold("vm:a", kRo), hold("vm:b", kRo)}));
  EXPECT_EQ(commit({hold("vm:c", kRw)}).error().code, Errc::in_use);
  EXPECT_EQ(commit({hold("vm:a", kRw)}).error().code, Errc::in_use) << "b still reads";
  ASSERT_TRUE(commit({EraseAttachment{VolumeId("v1"), "vm:b"}}));
  ASSERT_TRUE(commit({hold("vm:a", kRw)}));
  EXPECT_EQ(commit({hold("vm:c", kRo)}).error().code, Errc::in_use);
}

TEST_P(Rules, HandoverReleasesFirst) {
  ASSERT_TRUE(commit({hold("vm:a", kRw)}));
  EXPECT_FALSE(commit({hold("vm:b", kRw), hold("vm:a", kNone)}));
  EXPECT_EQ(load().attachments.size(), 1u);
  EXPECT_TRUE(commit({hold("vm:a", kNone), hold("vm:b", kRw)}));
}

TEST_P(Rules, OneVmAFunction) {  // I4
  auto reserve = [](const std::string& vm, const std::string& function, const std::string& dpu = "d") {
    return Change(Put<ReservationRecord>{{VmId(vm), DpuId(dpu), FunctionId(function), "serial"}});
  };
  ASSERT_TRUE(commit({reserve("a", "f1")}));
  EXPECT_EQ(commit({reserve("b", "f1")}).error().code, Errc::in_use);
  EXPECT_TRUE(commit({reserve("b", "f1", "another card")}));
  EXPECT_TRUE(commit({reserve("a", "f2"), reserve("b", "f1")}));
  EXPECT_TRUE(commit({reserve("c", ""), reserve("e", "")})) << "two that have no function yet";
}

TEST_P(Rules, AllOrNothing) {
  ASSERT_TRUE(commit({hold("vm:a", kRw), PutNote{"n", "before"}}));
  std::string before = as_text(load());
  SrRecord sr;
  sr.id = SrId("s");
  EXPECT_FALSE(commit({PutNote{"n", "after"}, Put<SrRecord>{sr}, EraseAttachment{VolumeId("v2"), "vm:a"},
                       hold("vm:b", kRw)}));
  EXPECT_EQ(as_text(load()), before);
}

TEST_P(Rules, FormIsBounded) {  // P4
  auto named = [](std::string name) {
    VolumeRecord r;
    r.id = VolumeId("v"), r.name = std::move(name);
    return std::vector<Change>{Put<VolumeRecord>{r}};
  };
  EXPECT_EQ(commit(named("\xff\xfe")).error().code, Errc::invalid_argument);
  EXPECT_EQ(commit(named(std::string(kMaxText + 1, 'x'))).error().code, Errc::invalid_argument);
  EXPECT_TRUE(commit(named(std::string(kMaxText, 'x'))));
  VolumeRecord many;
  many.id = VolumeId("m");
  for (std::size_t i = 0; i <= kMaxEntries; ++i) many.keys[std::to_string(i)] = "";
  EXPECT_EQ(commit({Put<VolumeRecord>{many}}).error().code, Errc::invalid_argument);
  many.keys.erase("0");
  EXPECT_TRUE(commit({Put<VolumeRecord>{many}}));
  EXPECT_EQ(commit(std::vector<Change>(kMaxChanges + 1, EraseIntent{1})).error().code,
            Errc::invalid_argument);
  EXPECT_EQ(load().volumes.size(), 2u);
}

TEST_P(Rules, FreshUntilTheFirstCommit) {  // C5
  EXPECT_TRUE(load().fresh);
  EXPECT_TRUE(commit({}));
  EXPECT_TRUE(load().fresh) << "nothing was committed";
  EXPECT_TRUE(commit({EraseNote{"absent"}}));
  EXPECT_FALSE(load().fresh);
}

TEST_P(Rules, VolumesInOrderOfCreationIntentsOfId) {
  std::vector<Change> changes;
  for (std::uint64_t seq : {5, 1, 3}) {
    VolumeRecord r;
    r.id = VolumeId("v" + std::to_string(9 - seq)), r.seq = seq;
    changes.push_back(Put<VolumeRecord>{r});
    IntentRecord i;
    i.id = seq == 5 ? UINT32_MAX + 5ULL : seq;
    changes.push_back(Put<IntentRecord>{i});
  }
  ASSERT_TRUE(commit(changes));
  Snapshot s = load();
  ASSERT_EQ(s.volumes.size(), 3u);
  EXPECT_EQ(s.volumes[0].seq, 1u);
  EXPECT_EQ(s.volumes[2].seq, 5u);
  ASSERT_EQ(s.intents.size(), 3u);
  EXPECT_EQ(s.intents[2].id, UINT32_MAX + 5ULL);
}

INSTANTIATE_TEST_SUITE_P(Stores, Rules, ::testing::Bool(),
                         [](const auto& one) { return one.param ? "Sqlite" : "Memory"; });

TEST(BothStores, AgreeOnRandomCommits) {
  for (std::uint64_t seed = 0; seed < seeds(20); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    boost::asio::io_context io;
    TempFolder folder;
    MemoryStore memory;
    auto sqlite = open_sqlite_store(io.get_executor(), {.path = folder / "state.db"});
    ASSERT_TRUE(sqlite) << sqlite.error().describe();
    Dice dice(seed);
    int refused = 0;
    for (int i = 0; i < 60; ++i) {
      auto changes = dice.commit();
      auto one = run_task(io, memory.commit(changes));
      auto other = run_task(io, (*sqlite)->commit(changes));
      ASSERT_EQ(one.has_value(), other.has_value())
          << (one ? other.error().describe() : one.error().describe());
      if (one) continue;
      ++refused;
      EXPECT_EQ(one.error().text, other.error().text);
    }
    EXPECT_GT(refused, 0);
    auto loaded = run_task(io, (*sqlite)->load());
    ASSERT_TRUE(loaded) << loaded.error().describe();
    EXPECT_EQ(as_text(*loaded), as_text(memory.contents()));
  }
}

TEST(MemoryStore, AHookCanFailACommit) {
  boost::asio::io_context io;
  MemoryStore store;
  store.before_commit = [](const std::vector<Change>&) -> Result<void> {
    return fail(Errc::io, "disk full");
  };
  EXPECT_EQ(run_task(io, store.commit({PutNote{"a", "b"}})).error().code, Errc::io);
  EXPECT_TRUE(store.contents().notes.empty());
  EXPECT_EQ(store.commits(), 0u);
}

}  // namespace
}  // namespace vnvme::state
