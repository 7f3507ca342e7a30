// F18: what every DPU must do with functions and exposures.
#include "contract.hpp"

namespace vnvme::contract {
namespace {

#define REFUSED(expression, errc)                                                \
  do {                                                                           \
    auto refused_ = (expression);                                                \
    ASSERT_FALSE(refused_);                                                      \
    EXPECT_EQ(refused_.error().code, Errc::errc) << refused_.error().describe(); \
  } while (0)
#define WORKS(expression)                             \
  do {                                                \
    auto works_ = (expression);                       \
    ASSERT_TRUE(works_) << works_.error().describe(); \
  } while (0)

const FunctionId kNoFunction("nqn.2026-11.io.vnvme:f-NOBODY");

class Functions : public Contract {
 protected:
  void SetUp() override {
    Contract::SetUp();
    if (HasFatalFailure()) return;
    if (!can().late_binding) GTEST_SKIP() << "volumes are bound at creation";
  }
  const dpu::Function* find_in(const std::vector<dpu::Function>& all, const FunctionId& id) {
    for (const auto& f : all)
      if (f.id == id) return &f;
    return nullptr;
  }
};

TEST_F(Functions, AnOpenedOneIsListedAsOurs) {
  auto f = open("CT1");
  ASSERT_TRUE(f) << f.error().describe();
  EXPECT_EQ(f->serial, "CT1");
  EXPECT_FALSE(f->foreign);
  auto all = functions();
  ASSERT_TRUE(all);
  const auto* listed = find_in(*all, f->id);
  ASSERT_NE(listed, nullptr);
  EXPECT_EQ(listed->serial, "CT1");
  EXPECT_FALSE(listed->foreign);
}
TEST_F(Functions, OpeningTwiceIsTheSameFunction) {
  auto f = open("CT1"), again = open("CT1");
  ASSERT_TRUE(f && again);
  EXPECT_EQ(f->id, again->id);
}
TEST_F(Functions, TwoSerialsAreTwoFunctions) {
  auto f = open("CT1"), g = open("CT2");
  ASSERT_TRUE(f && g) << (g ? "" : g.error().describe());
  EXPECT_NE(f->id, g->id);
}
TEST_F(Functions, ASerialOfTwentyCharactersIsFine) {
  auto f = open("CT345678901234567890");
  ASSERT_TRUE(f) << f.error().describe();
  EXPECT_EQ(f->serial, "CT345678901234567890");
}
TEST_F(Functions, OtherSerialsAreRefused) {
  REFUSED(open(""), invalid_argument);
  REFUSED(open("CT3456789012345678901"), invalid_argument);
  REFUSED(open("with space"), invalid_argument);
}
TEST_F(Functions, AClosedOneIsNotOursAnyMore) {
  auto f = open("CT1");
  ASSERT_TRUE(f);
  WORKS(close(f->id));
  auto all = functions();
  ASSERT_TRUE(all);
  for (const auto& one : *all) EXPECT_NE(one.serial, "CT1");
}
TEST_F(Functions, ClosingTwiceIsSuccess) {
  auto f = open("CT1");
  ASSERT_TRUE(f);
  WORKS(close(f->id));
  WORKS(close(f->id));
}
TEST_F(Functions, ClosingAnAbsentOneIsSuccess) {
  WORKS(close(kNoFunction));
}
TEST_F(Functions, OneThatWasClosedCanBeOpenedAgain) {
  auto f = open("CT1");
  WORKS(close(f->id));
  WORKS(open("CT1"));
}
TEST_F(Functions, ThereAreAsManyAsItSays) {
  if (can().max_functions == 0) GTEST_SKIP() << "not limited by a number";
  for (std::size_t i = 0; i < can().max_functions; ++i) WORKS(open("CTN" + std::to_string(i)));
  REFUSED(open("CTX"), no_space);
  auto all = functions();
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), can().max_functions);
}
TEST_F(Functions, AFreshOneHasNoNamespaces) {
  auto f = open("CT1");
  ASSERT_TRUE(f);
  auto all = exposures();
  ASSERT_TRUE(all);
  for (const auto& e : *all) EXPECT_NE(e.function, f->id);
}
TEST_F(Functions, ManyOpensOfOneSerialAtOnceAreOneFunction) {
  std::vector<Result<dpu::Function>> opened;
  for (int i = 0; i < 4; ++i)
    boost::asio::co_spawn(
        io, [this] { return dpu->open_function("CT1", soon()); },
        [&opened](std::exception_ptr, Result<dpu::Function> f) { opened.push_back(std::move(f)); });
  io.restart();
  while (opened.size() < 4 && io.run_one_for(seconds(60)) > 0) {
  }
  ASSERT_EQ(opened.size(), 4u);
  for (const auto& f : opened) {
    ASSERT_TRUE(f) << f.error().describe();
    EXPECT_EQ(f->id, opened[0]->id);
  }
}

class Exposures : public Functions {
 protected:
  void SetUp() override {
    Functions::SetUp();
    if (HasFatalFailure() || IsSkipped()) return;
    auto f = open("CT1");
    ASSERT_TRUE(f) << f.error().describe();
    function = f->id;
    auto v = create("v");
    ASSERT_TRUE(v);
    volume = v->str();
  }
  std::optional<dpu::Exposure> shown(std::uint32_t nsid) {
    auto all = exposures();
    EXPECT_TRUE(all);
    if (all)
      for (const auto& e : *all)
        if (e.function == function && e.nsid == nsid) return e;
    return std::nullopt;
  }
  FunctionId function;
  std::string volume;
  const std::string uuid = "6f0d3f0a-7f3d-4d0e-9a6b-2f5b8f4d1c77";
  const std::string uuid2 = "6f0d3f0a-7f3d-4d0e-9a6b-2f5b8f4d1c78";
};

TEST_F(Exposures, AreListedWithTheUuidThatWasAskedFor) {
  WORKS(expose(function, 1, volume, uuid));
  auto e = shown(1);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->target, volume);
  EXPECT_EQ(e->uuid, can().identity_chosen ? uuid : e->uuid);
  EXPECT_FALSE(e->uuid.empty());
  EXPECT_FALSE(e->foreign);
}
TEST_F(Exposures, TheSameTwiceIsSuccess) {
  WORKS(expose(function, 1, volume, uuid));
  WORKS(expose(function, 1, volume, uuid));
}
TEST_F(Exposures, UpperCaseUuidsAreTheSame) {
  std::string upper = uuid;
  for (char& c : upper) c = static_cast<char>(toupper(c));
  WORKS(expose(function, 1, volume, upper));
  WORKS(expose(function, 1, volume, uuid));
}
TEST_F(Exposures, AnotherVolumeOnThatNsidIsAConflict) {
  auto other = create("w");
  WORKS(expose(function, 1, volume, uuid));
  REFUSED(expose(function, 1, other->str(), uuid2), conflict);
  EXPECT_EQ(shown(1)->target, volume);
}
TEST_F(Exposures, AnotherUuidIsAConflict) {
  if (!can().identity_chosen) GTEST_SKIP() << "the host sees the volume's own uuid, whatever is asked for";
  WORKS(expose(function, 1, volume, uuid));
  REFUSED(expose(function, 1, volume, uuid2), conflict);
}
TEST_F(Exposures, AVolumeIsExposedOnce) {
  WORKS(expose(function, 1, volume, uuid));
  REFUSED(expose(function, 2, volume, uuid2), in_use);
}
TEST_F(Exposures, AVolumeIsOnOneFunction) {
  auto other = open("CT2");
  ASSERT_TRUE(other);
  WORKS(expose(function, 1, volume, uuid));
  REFUSED(expose(other->id, 1, volume, uuid), in_use);
}
TEST_F(Exposures, SeveralOnOneFunction) {
  if (can().namespaces_per_function < 2) GTEST_SKIP();
  auto other = create("w");
  WORKS(expose(function, 1, volume, uuid));
  WORKS(expose(function, 2, other->str(), uuid2));
  EXPECT_EQ(shown(1)->target, volume);
  EXPECT_EQ(shown(2)->target, other->str());
}
TEST_F(Exposures, NsidZeroIsRefused) {
  REFUSED(expose(function, 0, volume, uuid), invalid_argument);
}
TEST_F(Exposures, AUuidIsNeeded) {
  REFUSED(expose(function, 1, volume, ""), invalid_argument);
  REFUSED(expose(function, 1, volume, "nonsense"), invalid_argument);
}
TEST_F(Exposures, OfAnAbsentVolumeAreNotFound) {
  REFUSED(expose(function, 1, "12345678-1234-4234-8234-123456789abc", uuid), not_found);
  EXPECT_FALSE(shown(1));
}
TEST_F(Exposures, OnAnAbsentFunctionAreNotFound) {
  REFUSED(expose(kNoFunction, 1, volume, uuid), not_found);
}
TEST_F(Exposures, AreTakenBack) {
  WORKS(expose(function, 1, volume, uuid));
  WORKS(unexpose(function, 1));
  EXPECT_FALSE(shown(1));
}
TEST_F(Exposures, TakingBackTwiceIsSuccess) {
  WORKS(expose(function, 1, volume, uuid));
  WORKS(unexpose(function, 1));
  WORKS(unexpose(function, 1));
}
TEST_F(Exposures, TakingBackWhatNeverWasIsSuccess) {
  WORKS(unexpose(function, 7));
  WORKS(unexpose(kNoFunction, 1));
}
TEST_F(Exposures, ANsidCanBeUsedAgain) {
  auto other = create("w");
  WORKS(expose(function, 1, volume, uuid));
  WORKS(unexpose(function, 1));
  WORKS(expose(function, 1, other->str(), uuid2));
  EXPECT_EQ(shown(1)->target, other->str());
}
TEST_F(Exposures, AFunctionWithNamespacesIsNotClosed) {
  WORKS(expose(function, 1, volume, uuid));
  REFUSED(close(function), in_use);
  EXPECT_TRUE(shown(1));
}
TEST_F(Exposures, AnExposedVolumeGrows) {
  WORKS(expose(function, 1, volume, uuid));
  WORKS(resize(DpuVolumeId(volume), MiB(64)));
  EXPECT_EQ(get(DpuVolumeId(volume)).size, MiB(64));
}
TEST_F(Exposures, AnExposedVolumeIsNotCutDown) {
  WORKS(expose(function, 1, volume, uuid));
  Bytes size = get(DpuVolumeId(volume)).size;
  REFUSED(shrink(DpuVolumeId(volume), MiB(4)), in_use);
  EXPECT_EQ(get(DpuVolumeId(volume)).size, size);
}
TEST_F(Exposures, AnExposedVolumeIsSnapshotted) {
  WORKS(expose(function, 1, volume, uuid));
  WORKS(snapshot(DpuVolumeId(volume), "s"));
  EXPECT_EQ(shown(1)->target, volume);
}
TEST_F(Exposures, AnExposedVolumeIsRenamed) {
  WORKS(expose(function, 1, volume, uuid));
  WORKS(rename(DpuVolumeId(volume), "renamed"));
  EXPECT_EQ(shown(1)->target, volume);
}
TEST_F(Exposures, AnExposedVolumeTakesQosLimitsAgainAndAgain) {
  if (!can().qos) GTEST_SKIP();
  WORKS(expose(function, 1, volume, uuid));
  for (std::uint64_t iops : {2000, 3000, 0})
    WORKS(run<void>([this, iops] { return dpu->set_qos(DpuVolumeId(volume), iops, 0, soon()); }));
}
TEST_F(Exposures, AnExposedVolumeHasItsNameAndItsRelativesHaveTheirs) {
  auto snap = snapshot(DpuVolumeId(volume), "s");
  ASSERT_TRUE(snap);
  WORKS(expose(function, 1, volume, uuid));
  EXPECT_EQ(get(DpuVolumeId(volume)).name, "v");
  EXPECT_EQ(get(DpuVolumeId(volume)).parent, "s");
  EXPECT_EQ(get(*snap).children, std::vector<std::string>{"v"});
  auto found = find("v");
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->id.str(), volume);
  std::map<std::string, std::string> parents;
  auto all = volumes();
  ASSERT_TRUE(all);
  for (const auto& v : *all) parents[v.name] = v.parent;
  EXPECT_EQ(parents, (std::map<std::string, std::string>{{"s", ""}, {"v", "s"}}));
  WORKS(rename(DpuVolumeId(volume), "w"));
  EXPECT_EQ(get(DpuVolumeId(volume)).name, "w");
  EXPECT_FALSE(*find("v"));
  EXPECT_TRUE(*find("w"));
  WORKS(unexpose(function, 1));
  EXPECT_EQ(get(DpuVolumeId(volume)).name, "w");
  EXPECT_EQ(get(*snap).children, std::vector<std::string>{"w"});
}
TEST_F(Exposures, AreOursAlsoForTheNextClient) {
  WORKS(expose(function, 1, volume, uuid));
  leave();
  make();
  WORKS(run<std::uint64_t>([this] { return dpu->wait_generation(0, soon()); }));
  EXPECT_EQ(get(DpuVolumeId(volume)).name, "v");
  auto e = shown(1);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->target, volume);
  EXPECT_FALSE(e->foreign);
  auto again = run<dpu::Function>([this] { return dpu->open_function("CT1", soon(), function); });
  ASSERT_TRUE(again) << again.error().describe();
  EXPECT_EQ(again->id, function);
  WORKS(expose(function, 1, volume, uuid));
  WORKS(unexpose(function, 1));
  EXPECT_FALSE(shown(1));
}
TEST_F(Exposures, ASnapshotCanBeExposed) {
  auto snap = snapshot(DpuVolumeId(volume), "s");
  ASSERT_TRUE(snap);
  WORKS(expose(function, 1, snap->str(), uuid));
}

}  // namespace
}  // namespace vnvme::contract
