// The state file on a disk that fails (F9) and under a power supply that does (F10).
#include "fault/state/test_vfs.hpp"
#include "state/database.hpp"
#include "unit/state/state_support.hpp"

namespace vnvme::state {
namespace {

using Commit = std::vector<Change>;

// What the store must hold, after each commit that was acknowledged.
struct Model {
  Contents contents;
  std::string text() const { return as_text(contents.snapshot()); }
  // False: the rules refuse it.
  bool take(const Commit& changes) {
    Contents next = contents;
    if (!next.apply(changes)) return false;
    contents = next;
    return true;
  }
};

std::string state_of(Database& db) {
  auto loaded = db.load();
  EXPECT_TRUE(loaded) << loaded.error().describe();
  return loaded ? as_text(*loaded) : "cannot be read";
}

std::string reopened(const StoreOptions& options) {
  auto db = Database::open(options);
  EXPECT_TRUE(db) << db.error().describe();
  return db ? state_of(**db) : "cannot be opened";
}

// The same file in another VFS, without the lock that the living one holds.
std::string reopened_beside(const StoreOptions& options, TestVfs& vfs) {
  vfs.rename(options.path, options.path + "2");
  return reopened({.path = options.path + "2", .vfs = vfs.name()});
}

Commit wide(int i) {
  Commit changes = {PutNote{"first", std::to_string(i)}};
  for (int n = 0; n < 3; ++n)
    changes.push_back(
        PutNote{"n" + std::to_string((i * 3 + n) % 20), std::string(2500, static_cast<char>('a' + i % 26))});
  changes.push_back(PutNote{"last", std::to_string(i)});
  return changes;
}

TEST(Fsync, OneACommitAndOneAGroup) {
  TempFolder folder;
  TestVfs vfs;
  auto db = Database::open({.path = folder / "state.db", .vfs = vfs.name()});
  ASSERT_TRUE(db) << db.error().describe();
  std::vector<Commit> commits;
  for (int i = 0; i < 20; ++i) commits.push_back({PutNote{"n" + std::to_string(i), "v"}});
  (void)(*db)->commit({&commits[0]});  // the log's first one syncs its header too
  std::uint64_t before = vfs.syncs();
  for (int i = 1; i < 11; ++i) ASSERT_TRUE((*db)->commit({&commits[static_cast<std::size_t>(i)]}).front());
  EXPECT_EQ(vfs.syncs() - before, 10u);
  before = vfs.syncs();
  std::vector<const Commit*> group;
  for (std::size_t i = 11; i < 20; ++i) group.push_back(&commits[i]);
  for (auto& answer : (*db)->commit(group)) EXPECT_TRUE(answer);
  EXPECT_EQ(vfs.syncs() - before, 1u);
}

// One sweep: call n fails, n from 1 until the body passes untouched.
class DiskFault : public ::testing::TestWithParam<std::tuple<TestVfs::Fault, bool>> {};

void sweep_one(std::uint64_t n, TestVfs::Fault fault, bool lasting, bool& fired) {
  TempFolder folder;
  TestVfs vfs;
  const StoreOptions options{.path = folder / "state.db", .vfs = vfs.name()};
  Model model;
  auto db = Database::open(options);
  ASSERT_TRUE(db) << db.error().describe();
  for (int i = 0; i < 3; ++i) {
    Commit changes = wide(i);
    ASSERT_TRUE((*db)->commit({&changes}).front());
    ASSERT_TRUE(model.take(changes));
  }
  vfs.fail_at(n, fault, lasting);
  for (int i = 3; i < 7; ++i) {
    Commit one = wide(i), other = {PutNote{"other", std::to_string(i)}};
    // Now a group, now one alone, which nothing retries.
    std::vector<const Commit*> group = {&one};
    if (i % 2) group.push_back(&other);
    auto answers = (*db)->commit(group);
    for (std::size_t k = 0; k < group.size(); ++k) {
      if (answers[k]) {
        ASSERT_TRUE(model.take(*group[k]));
      } else {
        EXPECT_EQ(answers[k].error().outcome, Outcome::not_done) << answers[k].error().describe();
      }
    }
    // kill -9 right here: what was refused does not come back, what was promised is there. While the disk
    // takes nothing at all a refused commit cannot be overwritten, and only then it may come back.
    if (lasting && vfs.fired()) continue;
    TestVfs after_kill;
    vfs.copy_to(after_kill);
    EXPECT_EQ(reopened_beside(options, after_kill), model.text());
  }
  fired = vfs.fired();
  vfs.heal();
  EXPECT_EQ(state_of(**db), model.text());
  Commit after = {PutNote{"healed", "yes"}};
  auto healed = (*db)->commit({&after}).front();
  ASSERT_TRUE(healed) << healed.error().describe();
  ASSERT_TRUE(model.take(after));
  EXPECT_EQ(state_of(**db), model.text());
  db->reset();
  EXPECT_EQ(reopened(options), model.text());
}

TEST_P(DiskFault, NothingHalfDoneAndItHeals) {  // F9
  auto [fault, lasting] = GetParam();
  std::uint64_t n = 1;
  for (bool fired = true; fired; ++n) {
    ASSERT_LT(n, 5000u) << "the sweep has no end";
    SCOPED_TRACE("call " + std::to_string(n));
    sweep_one(n, fault, lasting, fired);
    if (HasFailure()) return;
  }
  RecordProperty("calls", static_cast<int>(n - 1));
  EXPECT_GT(n, 10u);
}

// The same while the file is being opened: an error or a store, never a fresh one in place of the old.
TEST_P(DiskFault, WhileOpening) {
  auto [fault, lasting] = GetParam();
  TempFolder folder;
  TestVfs vfs;
  const StoreOptions options{.path = folder / "state.db", .vfs = vfs.name()};
  Model model;
  {
    auto db = Database::open(options);
    ASSERT_TRUE(db);
    Commit changes = wide(1);
    ASSERT_TRUE((*db)->commit({&changes}).front());
    ASSERT_TRUE(model.take(changes));
  }
  std::uint64_t n = 1;
  for (bool fired = true; fired; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    vfs.fail_at(n, fault, lasting);
    {
      auto db = Database::open(options);
      if (db) {
        auto loaded = (*db)->load();
        if (loaded) {
          EXPECT_EQ(as_text(*loaded), model.text());
          EXPECT_FALSE(loaded->fresh);
        }
      }
      fired = vfs.fired();
      vfs.heal();
    }
    ASSERT_EQ(reopened(options), model.text());
  }
}

std::string fault_name(const ::testing::TestParamInfo<std::tuple<TestVfs::Fault, bool>>& info) {
  const auto [fault, lasting] = info.param;
  const std::string kind = fault == TestVfs::Fault::io     ? "Io"
                           : fault == TestVfs::Fault::full ? "Full"
                                                           : "ReadOnly";
  return kind + (lasting ? "Lasting" : "Once");
}

INSTANTIATE_TEST_SUITE_P(Kinds, DiskFault,
                         ::testing::Combine(::testing::Values(TestVfs::Fault::io, TestVfs::Fault::full,
                                                              TestVfs::Fault::read_only),
                                            ::testing::Bool()),
                         fault_name);

// The power fails at some call; what the disk then holds is the state after some commit, and none that was
// acknowledged is missing. Then once more, and the store goes on living.
void power_loss(std::uint64_t seed) {
  std::mt19937_64 dice(seed);
  TempFolder folder;
  TestVfs vfs;
  const StoreOptions options{.path = folder / "state.db", .vfs = vfs.name()};
  std::string sure;  // the state that is certainly there
  for (int life = 0; life < 3; ++life) {
    std::vector<std::string> possible;
    {
      // In the first life the power may fail before the file is whole.
      vfs.fail_at(1 + dice() % (life == 0 ? 400 : 200), TestVfs::Fault::io, true);
      auto db = Database::open(options);
      Model model;
      auto start = db ? (*db)->load() : fail(db.error());
      possible = {sure};
      if (start) {
        ASSERT_EQ(as_text(*start), sure);
        Dice records(seed + static_cast<std::uint64_t>(life));
        Commit restore;
        for (const auto& [key, value] : start->notes) restore.push_back(PutNote{key, value});
        ASSERT_TRUE(model.contents.apply(restore));
        for (int i = 0; i < 40 && !vfs.fired(); ++i) {
          Commit changes = dice() % 3 ? wide(static_cast<int>(dice() % 1000))
                                      : Commit{PutNote{"n" + std::to_string(dice() % 20), "small"},
                                               EraseNote{"n" + std::to_string(dice() % 20)}};
          auto answer = (*db)->commit({&changes}).front();
          ASSERT_TRUE(model.take(changes));
          if (answer) possible.clear();
          possible.push_back(model.text());
          if (!answer) break;
        }
      }
    }
    vfs.heal();
    vfs.lose_power(dice);
    sure = reopened(options);
    ASSERT_NE(std::find(possible.begin(), possible.end(), sure), possible.end())
        << "life " << life << ", of " << possible.size() << " possible states";
  }
}

TEST(PowerLoss, NoAcknowledgedCommitIsMissingAndNoneIsTorn) {  // F10
  const std::uint64_t count = seeds(300);
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    power_loss(seed);
    if (HasFailure()) return;
  }
  RecordProperty("seeds", static_cast<int>(count));
}

}  // namespace
}  // namespace vnvme::state
