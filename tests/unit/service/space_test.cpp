// Design, Space: what destroyed volumes cost until they are gone, and what
// people are told before a pool is full.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/log.hpp"
#include "support/rig.hpp"

namespace vnvme::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A thick SR, whose volumes hold all their clusters, and a daemon that erases 64 MiB at a time.
void begin(Rig& rig) {
  rig.wipe_piece = MiB(64);
  rig.crash();
  rig.boot();
  ASSERT_TRUE(rig.make_sr("provisioning", "thick").value());
}

nlohmann::json status(Rig& rig) {
  auto answer = rig.run<Result<nlohmann::json>>(
      [&] { return rig.services->admin("status", nlohmann::json::object(), Deadline::after(seconds(5))); });
  return answer && *answer ? **answer : nlohmann::json();
}

std::vector<std::string> events(Rig& rig, const std::string& level) {
  std::vector<std::string> texts;
  for (const auto& e : rig.events.since(0, 1000))
    if (e.level == level) texts.push_back(e.text);
  return texts;
}

TEST(Trash, IsErasedInPieces) {
  Rig rig;
  begin(rig);
  auto v = rig.create("v", MiB(512)).value();
  ASSERT_TRUE(v) << v.error().describe();
  ASSERT_TRUE(rig.destroy(v->key).value());
  ASSERT_TRUE(rig.settle());
  // On a card that takes no time the pieces double: 64, 128 and 256 MiB; the last 64 go with the lvol.
  EXPECT_EQ(rig.card.cuts, 3u);
  EXPECT_EQ(rig.card.lvols.size(), 0u);
  EXPECT_EQ(rig.card.shrinks, 0u) << "only under its trash name";
  rig.check("erased");
}

TEST(Trash, OfSlowCardsKeepsThePiecesSmallAndTheLaneFree) {
  Rig rig;
  begin(rig);
  auto v = rig.create("v", MiB(512)).value();
  ASSERT_TRUE(v);
  rig.card.slow_cut = seconds(4);
  ASSERT_TRUE(rig.destroy(v->key).value());
  rig.advance(seconds(10));
  auto wipes = status(rig)["wipes"];
  ASSERT_EQ(wipes.size(), 1u) << wipes;
  EXPECT_EQ(wipes[0]["volume"], v->key.value);
  EXPECT_EQ(wipes[0]["total"], MiB(512).value);
  EXPECT_EQ(wipes[0]["done"], MiB(128).value) << "two pieces of four seconds each";
  EXPECT_EQ(wipes[0]["rate"], MiB(128).value / 10) << wipes;
  EXPECT_EQ(wipes[0]["eta_s"], 30) << "384 MiB are left";
  // Another call waits for one piece at most.
  auto before = MonoClock::now();
  ASSERT_TRUE(rig.create("w", MiB(64)).value());
  EXPECT_LT(MonoClock::now() - before, seconds(5));
  ASSERT_TRUE(rig.settle());
  EXPECT_EQ(rig.card.cuts, 7u);
  ASSERT_FALSE(events(rig, "info").empty());
  EXPECT_NE(events(rig, "info").back().find("(512.0 MiB) was erased in 2"), std::string::npos)
      << events(rig, "info").back();
}

TEST(Trash, GoesOnWhereACrashLeftIt) {
  Rig rig;
  begin(rig);
  auto v = rig.create("v", MiB(512)).value();
  rig.card.slow_cut = seconds(4);
  ASSERT_TRUE(rig.destroy(v->key).value());
  rig.advance(seconds(10));
  EXPECT_EQ(rig.card.cuts, 2u);
  rig.crash();
  rig.boot();
  ASSERT_TRUE(rig.settle());
  EXPECT_EQ(rig.card.cuts, 7u) << "no piece twice";
  rig.check("after the crash");
}

TEST(Trash, ThatHoldsNothingIsFreedAtOnce) {
  Rig rig;
  rig.wipe_piece = MiB(64);
  rig.crash();
  rig.boot();
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("thin", GiB(32)).value();
  ASSERT_TRUE(rig.destroy(v->key).value());
  ASSERT_TRUE(rig.settle());
  EXPECT_EQ(rig.card.cuts, 0u);
  EXPECT_EQ(rig.card.lvols.size(), 0u);
}

TEST(Trash, IsFreedAsAWholeWhereTheSrErasesNothing) {
  Rig rig;
  rig.wipe_piece = MiB(64);
  rig.crash();
  rig.boot();
  ASSERT_TRUE(rig.make_sr("wipe", "none").value());
  auto v = rig.create("v", MiB(512)).value();
  rig.lvol(v->key)->info.allocated = MiB(512);
  ASSERT_TRUE(rig.destroy(v->key).value());
  ASSERT_TRUE(rig.settle());
  EXPECT_EQ(rig.card.cuts, 0u);
}

TEST(Trash, ThatSomebodyExposedIsNeitherCutNorDeleted) {
  Rig rig;
  begin(rig);
  auto v = rig.create("v", MiB(512)).value();
  auto id = rig.lvol(v->key)->info.id;
  rig.card.functions["pf1vf7"] = dpu::Function{FunctionId("pf1vf7"), "", "theirs", true, false, true, true};
  rig.card.exposures.push_back({FunctionId("pf1vf7"), 1, id.value, "", true});
  ASSERT_TRUE(rig.destroy(v->key).value());
  rig.advance(seconds(30));
  EXPECT_EQ(rig.card.cuts, 0u);
  EXPECT_EQ(rig.card.lvols.size(), 1u);
  EXPECT_EQ(rig.card.deletes_while_exposed, 0u);
  rig.card.exposures.clear();
  ASSERT_TRUE(rig.settle());
  EXPECT_EQ(rig.card.lvols.size(), 0u);
}

TEST(Trash, ThatSomebodyRenamedIsLeftAloneAndToldOnce) {
  Rig rig;
  begin(rig);
  auto v = rig.create("v", MiB(512)).value();
  rig.lvol(v->key)->info.name = "theirs";
  const std::string path = testing::TempDir() + "vnvme-trash-log-" + std::to_string(::getpid());
  ASSERT_TRUE(log::setup(log::Level::warning, path));
  ASSERT_TRUE(rig.destroy(v->key).value());
  rig.advance(seconds(60));
  ASSERT_TRUE(log::setup(log::Level::warning, "-"));  // the file is flushed and closed
  EXPECT_EQ(rig.card.lvols.size(), 1u);
  EXPECT_EQ(rig.card.cuts, 0u);
  EXPECT_EQ(events(rig, "error").size(), 1u) << "not once a second";
  std::ifstream log(path);
  std::size_t complaints = 0;
  for (std::string line; std::getline(log, line);) complaints += line.find("could not be freed") != line.npos;
  EXPECT_EQ(complaints, 1u) << "the log has each reason once";
  std::filesystem::remove(path);
}

TEST(Space, IsWarnedAboutOnceAtEachStep) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto& pool = rig.card.pools.begin()->second;
  auto fill = [&](std::uint64_t percent) {
    pool.free = Bytes{pool.total.value / 100 * (100 - percent)};
    rig.advance(seconds(60));
  };
  fill(79);
  EXPECT_EQ(events(rig, "warning").size(), 0u);
  for (std::uint64_t percent : {81u, 91u, 96u}) {
    auto known = events(rig, "warning").size();
    fill(percent);
    auto told = events(rig, "warning");
    ASSERT_EQ(told.size(), known + 1) << percent;
    EXPECT_NE(told.back().find("more than " + std::to_string(percent - 1) + " %"), std::string::npos);
    fill(percent);
    EXPECT_EQ(events(rig, "warning").size(), known + 1) << "said once";
  }
  fill(10);
  fill(85);
  EXPECT_EQ(events(rig, "warning").size(), 4u) << "after room was made it is news again";
}

TEST(Space, ChainsHaveALimit) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  for (std::size_t i = 0; i < model::kMaxDepth; ++i) {
    auto s = rig.snapshot(v->key).value();
    ASSERT_TRUE(s) << i << ": " << s.error().describe();
  }
  auto refused = rig.snapshot(v->key).value();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::not_permitted);
  EXPECT_NE(refused.error().text.find("16 snapshots"), std::string::npos) << refused.error().text;
  EXPECT_EQ(rig.clone(v->key).value().error().code, Errc::not_permitted);
  rig.check("at the limit");
}

}  // namespace
}  // namespace vnvme::test
