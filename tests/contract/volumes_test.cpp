// F18: what every DPU must do with pools and volumes.
#include "contract.hpp"

namespace vnvme::contract {
namespace {

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

const DpuVolumeId kNobody("12345678-1234-4234-8234-123456789abc");
const PoolId kNoPool("12345678-1234-4234-8234-123456789abd");

class Session : public Contract {};
TEST_F(Session, HasAGenerationAndNoTrouble) {
  EXPECT_GE(dpu->generation(), 1u);
  EXPECT_TRUE(dpu->connected());
  EXPECT_EQ(dpu->trouble(), "");
}
TEST_F(Session, TellsWhatItIs) {
  auto identity = run<dpu::Identity>([this] { return dpu->identify(soon()); });
  ASSERT_TRUE(identity);
  EXPECT_FALSE(identity->family.empty());
  EXPECT_FALSE(identity->version.empty());
}
TEST_F(Session, TellsWhatItCan) {
  EXPECT_GE(can().volume_name_bytes, 1u);
  EXPECT_GE(can().namespaces_per_function, 1u);
}
TEST_F(Session, Settles) {
  WORKS(run<void>([this] { return dpu->settle(soon()); }));
}
TEST_F(Session, APassedDeadlineIsATimeoutThatDidNothing) {
  dpu::CreateVolume want{pool_id, "late", MiB(8), true};
  REFUSED(run<DpuVolumeId>([this, want] { return dpu->create_volume(want, Deadline(MonoClock::now())); }),
          timeout);
  auto found = find("late");
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
}
TEST_F(Session, AfterShutdownEveryCallIsCancelled) {
  dpu->shutdown();
  REFUSED(pools(), cancelled);
  make();
  WORKS(run<std::uint64_t>([this] { return dpu->wait_generation(0, soon()); }));
}

class Pools : public Contract {};
TEST_F(Pools, AreListedWithTheirSizes) {
  auto p = pool();
  EXPECT_EQ(p.name, pool_name());
  EXPECT_EQ(p.drive, endpoint_->drive());
  EXPECT_EQ(p.cluster, MiB(1));
  EXPECT_GT(p.total.value, 0u);
  EXPECT_LE(p.free, p.total);
}
TEST_F(Pools, ADriveIsUsedByOneOnly) {
  REFUSED(create_pool(other_pool_name(), endpoint_->drive()), in_use);
}
TEST_F(Pools, ADriveMustExist) {
  REFUSED(create_pool(other_pool_name(), "no-such-drive"), not_found);
}
TEST_F(Pools, ANameIsNeeded) {
  REFUSED(create_pool("", endpoint_->drive()), invalid_argument);
}
TEST_F(Pools, ANameHas63BytesAtMost) {
  REFUSED(create_pool(std::string(64, 'x'), endpoint_->drive()), invalid_argument);
}
TEST_F(Pools, DeletingTwiceSaysNotFound) {
  WORKS(run<void>([this] { return dpu->delete_pool(pool_id, soon()); }));
  REFUSED(run<void>([this] { return dpu->delete_pool(pool_id, soon()); }), not_found);
}
TEST_F(Pools, DeletingTakesTheVolumesAlong) {
  WORKS(create("a"));
  WORKS(run<void>([this] { return dpu->delete_pool(pool_id, soon()); }));
  WORKS(create_pool(pool_name(), endpoint_->drive()));
  auto again = run<std::vector<dpu::Pool>>([this] { return dpu->list_pools(soon()); });
  ASSERT_TRUE(again);
  for (const auto& p : *again) EXPECT_NE(p.id, pool_id) << "a new pool has a new id";
}
TEST_F(Pools, TheirDriveIsShownAsUsed) {
  auto drives = run<std::vector<dpu::Drive>>([this] { return dpu->list_drives(soon()); });
  ASSERT_TRUE(drives);
  bool seen = false;
  for (const auto& d : *drives) {
    if (d.name != endpoint_->drive()) continue;
    seen = true;
    EXPECT_EQ(d.used_by, pool_name());
    EXPECT_TRUE(d.claimed);
    EXPECT_GE(d.size, pool().total);
  }
  EXPECT_TRUE(seen);
}
TEST_F(Pools, VolumesAreNoDrives) {
  auto id = create("a");
  ASSERT_TRUE(id);
  auto drives = run<std::vector<dpu::Drive>>([this] { return dpu->list_drives(soon()); });
  ASSERT_TRUE(drives);
  for (const auto& d : *drives) EXPECT_NE(d.name, id->str());
}
TEST_F(Pools, AnAbsentOneHasNoVolumesToList) {
  REFUSED(run<std::vector<dpu::DpuVolume>>([this] { return dpu->list_volumes(kNoPool, soon()); }), not_found);
}
TEST_F(Pools, AnAbsentOneHasNoNamesToList) {
  REFUSED(run<std::vector<dpu::DpuVolume>>([this] { return dpu->list_volume_names(kNoPool, soon()); }),
          not_found);
}
TEST_F(Pools, InAnAbsentOneNothingIsAbsent) {
  REFUSED(run<std::optional<dpu::DpuVolume>>([this] { return dpu->find_volume(kNoPool, "a", soon()); }),
          not_found);
}
TEST_F(Pools, InAnAbsentOneNothingIsCreated) {
  dpu::CreateVolume want{kNoPool, "a", MiB(8), true};
  REFUSED(run<DpuVolumeId>([this, want] { return dpu->create_volume(want, soon()); }), not_found);
}
TEST_F(Pools, RaidsCanBeListed) {
  WORKS(run<std::vector<dpu::Raid>>([this] { return dpu->list_raids(soon()); }));
}
TEST_F(Pools, ARaidOfAbsentDrivesIsRefused) {
  dpu::CreateRaid want{"vnvme-ct-raid", "raid1", 0, {"no-such-drive", "neither"}};
  REFUSED(run<void>([this, want] { return dpu->create_raid(want, soon()); }), not_found);
}
TEST_F(Pools, AnAbsentRaidIsNotFound) {
  REFUSED(run<void>([this] { return dpu->delete_raid("no-such-raid", soon()); }), not_found);
}

class Volumes : public Contract {};
TEST_F(Volumes, AreFoundByIdAndByName) {
  auto id = create("a");
  ASSERT_TRUE(id);
  EXPECT_TRUE(parse_uuid(id->str()));
  auto by_name = find("a");
  ASSERT_TRUE(by_name && *by_name);
  EXPECT_EQ((*by_name)->id, *id);
  EXPECT_EQ(get(*id).name, "a");
  EXPECT_EQ(get(*id).pool, pool_id);
}
TEST_F(Volumes, BothListsShowThem) {
  auto id = create("a");
  ASSERT_TRUE(id);
  for (auto& list : {volumes(), names()}) {
    ASSERT_TRUE(list);
    ASSERT_EQ(list->size(), 1u);
    EXPECT_EQ(list->front().id, *id);
    EXPECT_EQ(list->front().name, "a");
    EXPECT_TRUE(list->front().thin);
    EXPECT_FALSE(list->front().snapshot);
  }
}
TEST_F(Volumes, AnEmptyPoolHasNone) {
  auto all = volumes();
  ASSERT_TRUE(all);
  EXPECT_TRUE(all->empty());
}
TEST_F(Volumes, AllPoolsTogetherCanBeListed) {
  auto id = create("a");
  auto all = run<std::vector<dpu::DpuVolume>>([this] { return dpu->list_volumes(PoolId(), soon()); });
  ASSERT_TRUE(all);
  EXPECT_TRUE(std::any_of(all->begin(), all->end(), [&id](const auto& v) { return v.id == *id; }));
}
TEST_F(Volumes, AreAtLeastAsBigAsAsked) {
  for (auto size : {Bytes{1}, Bytes{MiB(1).value + 1}, MiB(7)}) {
    auto id = create("v" + std::to_string(size.value), size);
    ASSERT_TRUE(id) << id.error().describe();
    EXPECT_GE(get(*id).size, size);
    EXPECT_LT(get(*id).size, size + MiB(2));
  }
}
TEST_F(Volumes, OfNoBytesExist) {
  auto id = create("zero", Bytes{0});
  ASSERT_TRUE(id) << id.error().describe();
  EXPECT_EQ(get(*id).size.value, 0u);
}
TEST_F(Volumes, ThinOnesTakeNoSpace) {
  auto before = pool().free;
  WORKS(create("a", MiB(512)));
  EXPECT_EQ(pool().free, before);
}
TEST_F(Volumes, ThickOnesTakeTheirSpaceAtOnce) {
  auto before = pool().free;
  WORKS(create("a", MiB(512), false));
  EXPECT_EQ(pool().free, before - MiB(512));
}
TEST_F(Volumes, ThinOnesMayBeBiggerThanThePool) {
  WORKS(create("a", Bytes{pool().total.value * 4}));
}
TEST_F(Volumes, ThickOnesMayNot) {
  REFUSED(create("a", Bytes{pool().total.value * 2}, false), no_space);
}
TEST_F(Volumes, ANameIsTakenOnce) {
  WORKS(create("a"));
  REFUSED(create("a"), already_exists);
}
TEST_F(Volumes, AllocationIsToldWhenItCanBe) {
  auto id = create("a", MiB(16), false);
  ASSERT_TRUE(id);
  auto v = get(*id);
  EXPECT_EQ(v.allocated.has_value(), can().allocation_known);
  if (v.allocated) {
    EXPECT_EQ(*v.allocated, MiB(16));
  }
}
TEST_F(Volumes, TheCheapListTellsTheSameAllocationOrNone) {
  ASSERT_TRUE(create("a", MiB(16), false));
  auto all = names();
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 1u);
  if (all->front().allocated) {
    EXPECT_EQ(*all->front().allocated, MiB(16));
  }
}
TEST_F(Volumes, AnAbsentNameIsAPositiveAnswer) {
  auto found = find("nobody");
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
}
TEST_F(Volumes, AnAbsentIdIsAPositiveAnswer) {
  auto found = find(kNobody);
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
}
TEST_F(Volumes, AnIdMustBeAUuid) {
  REFUSED(find(DpuVolumeId("nonsense")), invalid_argument);
}

struct Name {
  const char* label;
  std::string text;
};
class GoodNames : public Contract, public testing::WithParamInterface<Name> {};
TEST_P(GoodNames, AreKeptAndFound) {
  auto id = create(GetParam().text);
  ASSERT_TRUE(id) << id.error().describe();
  auto found = find(GetParam().text);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->id, *id);
  auto all = names();
  ASSERT_TRUE(all);
  EXPECT_EQ(all->front().name, GetParam().text);
}
INSTANTIATE_TEST_SUITE_P(Volumes, GoodNames,
                         testing::Values(Name{"one", "x"}, Name{"longest", std::string(63, 'n')},
                                         Name{"space", "my disk"}, Name{"slash", "a/b/c"},
                                         Name{"quote", "say \"hi\" \\ bye"},
                                         Name{"utf8", "Z\xC3\xBCrich \xF0\x9F\x92\xBE"},
                                         Name{"percent", "100%s%n"},
                                         Name{"uuid", "0b9e1b9c-6b53-4a3f-9d2c-6a6f5a5d0a11 my label"}),
                         [](const auto& one) { return std::string(one.param.label); });

class BadNames : public Contract, public testing::WithParamInterface<Name> {};
TEST_P(BadNames, AreRefusedByEveryVerb) {
  auto id = create("a");
  ASSERT_TRUE(id);
  REFUSED(create(GetParam().text), invalid_argument);
  REFUSED(rename(*id, GetParam().text), invalid_argument);
  REFUSED(snapshot(*id, GetParam().text), invalid_argument);
  EXPECT_EQ(get(*id).name, "a");
}
INSTANTIATE_TEST_SUITE_P(Volumes, BadNames,
                         testing::Values(Name{"empty", ""}, Name{"too_long", std::string(64, 'n')},
                                         Name{"not_utf8", "\xFF\xFE"}, Name{"newline", "a\nb"}),
                         [](const auto& one) { return std::string(one.param.label); });

TEST_F(Volumes, DeletedOnesAreAbsent) {
  auto id = create("a");
  WORKS(remove(*id));
  auto found = find("a");
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
}
TEST_F(Volumes, DeletingTwiceSaysNotFound) {
  auto id = create("a");
  WORKS(remove(*id));
  REFUSED(remove(*id), not_found);
}
TEST_F(Volumes, DeletingGivesTheSpaceBack) {
  auto before = pool().free;
  auto id = create("a", MiB(64), false);
  WORKS(remove(*id));
  EXPECT_EQ(pool().free, before);
}
TEST_F(Volumes, ANameIsFreeAgainAfterDelete) {
  auto id = create("a");
  WORKS(remove(*id));
  auto again = create("a");
  ASSERT_TRUE(again);
  EXPECT_NE(*again, *id);
}
TEST_F(Volumes, RenamingKeepsTheId) {
  auto id = create("a");
  WORKS(rename(*id, "b"));
  auto found = find("b");
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->id, *id);
  auto old = find("a");
  ASSERT_TRUE(old);
  EXPECT_FALSE(*old);
}
TEST_F(Volumes, RenamingToATakenNameIsRefused) {
  auto id = create("a");
  WORKS(create("b"));
  REFUSED(rename(*id, "b"), already_exists);
  EXPECT_EQ(get(*id).name, "a");
}
TEST_F(Volumes, RenamingAnAbsentOneIsNotFound) {
  REFUSED(rename(kNobody, "b"), not_found);
}
TEST_F(Volumes, Grow) {
  auto id = create("a", MiB(8));
  WORKS(resize(*id, MiB(32)));
  EXPECT_EQ(get(*id).size, MiB(32));
}
TEST_F(Volumes, GrowToTheSameSize) {
  auto id = create("a", MiB(8));
  WORKS(resize(*id, MiB(8)));
  EXPECT_EQ(get(*id).size, MiB(8));
}
TEST_F(Volumes, NeverShrink) {
  auto id = create("a", MiB(8));
  REFUSED(resize(*id, MiB(4)), invalid_argument);
  REFUSED(resize(*id, Bytes{0}), invalid_argument);
  EXPECT_EQ(get(*id).size, MiB(8));
}
TEST_F(Volumes, TrashIsCutDownAndGivesItsSpaceBack) {
  auto id = create("a", MiB(64), false);
  Bytes free = pool().free;
  WORKS(shrink(*id, MiB(24)));
  EXPECT_EQ(get(*id).size, MiB(24));
  EXPECT_EQ(pool().free, free + MiB(40));
  WORKS(shrink(*id, MiB(24)));
  WORKS(shrink(*id, MiB(32)));
  EXPECT_EQ(get(*id).size, MiB(24)) << "cutting down never grows";
  WORKS(remove(*id));
  EXPECT_EQ(pool().free, free + MiB(64));
}
TEST_F(Volumes, WhatIsReadOnlyOrAbsentIsNotCutDown) {
  auto id = create("a", MiB(64));
  auto snap = snapshot(*id, "s");
  REFUSED(shrink(*snap, MiB(8)), not_permitted);
  EXPECT_EQ(get(*snap).size, MiB(64));
  REFUSED(shrink(kNobody, MiB(8)), not_found);
}
TEST_F(Volumes, ThickOnesDoNotGrowBeyondThePool) {
  auto id = create("a", MiB(8), false);
  REFUSED(resize(*id, Bytes{pool().total.value * 2}), no_space);
  EXPECT_EQ(get(*id).size, MiB(8));
}
TEST_F(Volumes, AnAbsentOneDoesNotGrow) {
  REFUSED(resize(kNobody, MiB(8)), not_found);
}
TEST_F(Volumes, ReadOnlyOnesDoNotGrow) {
  auto id = create("a");
  WORKS(run<void>([this, &id] { return dpu->set_read_only(*id, soon()); }));
  REFUSED(resize(*id, MiB(64)), not_permitted);
}
TEST_F(Volumes, AnAbsentOneCannotBeReadOnly) {
  REFUSED(run<void>([this] { return dpu->set_read_only(kNobody, soon()); }), not_found);
}
TEST_F(Volumes, CountTheirIo) {
  auto id = create("a");
  auto stat = run<dpu::IoStat>([this, &id] { return dpu->io_stat(*id, soon()); });
  ASSERT_TRUE(stat) << stat.error().describe();
}
TEST_F(Volumes, AnAbsentOneCountsNoIo) {
  REFUSED(run<dpu::IoStat>([this] { return dpu->io_stat(kNobody, soon()); }), not_found);
}
TEST_F(Volumes, TakeAQosLimitTwiceTheSame) {
  if (!can().qos) GTEST_SKIP();
  auto id = create("a");
  WORKS(run<void>([this, &id] { return dpu->set_qos(*id, 2000, 0, soon()); }));
  WORKS(run<void>([this, &id] { return dpu->set_qos(*id, 2000, 0, soon()); }));
}
TEST_F(Volumes, AnAbsentOneTakesNoQosLimit) {
  REFUSED(run<void>([this] { return dpu->set_qos(kNobody, 2000, 0, soon()); }), not_found);
}

class Snapshots : public Contract {};
TEST_F(Snapshots, AreReadOnlyVolumesOfTheirOwn) {
  auto id = create("a");
  auto snap = snapshot(*id, "s");
  ASSERT_TRUE(snap) << snap.error().describe();
  auto s = get(*snap);
  EXPECT_TRUE(s.snapshot);
  EXPECT_TRUE(s.read_only);
  EXPECT_EQ(s.size, get(*id).size);
  EXPECT_EQ(s.children, std::vector<std::string>{"a"});
  EXPECT_EQ(get(*id).parent, "s");
  EXPECT_FALSE(get(*id).snapshot);
}
TEST_F(Snapshots, OfAThickVolumeMakeItThin) {
  auto id = create("a", MiB(8), false);
  EXPECT_FALSE(get(*id).thin);
  WORKS(snapshot(*id, "s"));
  EXPECT_TRUE(get(*id).thin);
}
TEST_F(Snapshots, NeedAFreeName) {
  auto id = create("a");
  WORKS(create("b"));
  REFUSED(snapshot(*id, "b"), already_exists);
}
TEST_F(Snapshots, OfAnAbsentVolumeAreNotFound) {
  REFUSED(snapshot(kNobody, "s"), not_found);
}
TEST_F(Snapshots, OfASnapshotAreRefused) {
  auto id = create("a");
  auto snap = snapshot(*id, "s");
  REFUSED(snapshot(*snap, "t"), invalid_argument);
}
TEST_F(Snapshots, MakeAChain) {
  auto id = create("a");
  for (int i = 0; i < 5; ++i) WORKS(snapshot(*id, "s" + std::to_string(i)));
  EXPECT_EQ(get(*id).parent, "s4");
  for (int i = 4; i > 0; --i) {
    auto found = find("s" + std::to_string(i));
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->parent, "s" + std::to_string(i - 1));
  }
}
TEST_F(Snapshots, DoNotGrow) {
  auto id = create("a");
  auto snap = snapshot(*id, "s");
  REFUSED(resize(*snap, MiB(64)), not_permitted);
}
TEST_F(Snapshots, WithOneChildCanBeDeleted) {
  auto id = create("a");
  auto snap = snapshot(*id, "s");
  WORKS(remove(*snap));
  EXPECT_EQ(get(*id).parent, "");
}
TEST_F(Snapshots, WithTwoChildrenAreInUse) {
  auto id = create("a");
  auto snap = snapshot(*id, "s");
  WORKS(clone(*snap, "c"));
  REFUSED(remove(*snap), in_use);
  EXPECT_TRUE(get(*snap).snapshot);
}
TEST_F(Snapshots, AreWholeAfterTheirSourceIsGone) {
  auto id = create("a");
  auto snap = snapshot(*id, "s");
  WORKS(remove(*id));
  EXPECT_TRUE(get(*snap).children.empty());
  WORKS(remove(*snap));
}

class Clones : public Contract {};
TEST_F(Clones, DependOnTheirSnapshot) {
  auto id = create("a");
  auto snap = snapshot(*id, "s");
  auto copy = clone(*snap, "c");
  ASSERT_TRUE(copy) << copy.error().describe();
  EXPECT_EQ(get(*copy).parent, "s");
  EXPECT_EQ(get(*copy).size, get(*id).size);
  EXPECT_FALSE(get(*copy).read_only);
  EXPECT_EQ(get(*snap).children.size(), 2u);
}
TEST_F(Clones, OfAWritableVolumeAreRefused) {
  auto id = create("a");
  REFUSED(clone(*id, "c"), invalid_argument);
}
TEST_F(Clones, NeedAFreeName) {
  auto id = create("a");
  auto snap = snapshot(*id, "s");
  REFUSED(clone(*snap, "a"), already_exists);
}
TEST_F(Clones, OfAnAbsentSnapshotAreNotFound) {
  REFUSED(clone(kNobody, "c"), not_found);
}
TEST_F(Clones, GrowOnTheirOwn) {
  auto id = create("a", MiB(8));
  auto snap = snapshot(*id, "s");
  auto copy = clone(*snap, "c");
  WORKS(resize(*copy, MiB(16)));
  EXPECT_EQ(get(*copy).size, MiB(16));
  EXPECT_EQ(get(*id).size, MiB(8));
}
TEST_F(Clones, InflatedOnesStandAlone) {
  auto id = create("a");
  auto snap = snapshot(*id, "s");
  auto copy = clone(*snap, "c");
  WORKS(inflate(*copy));
  EXPECT_EQ(get(*copy).parent, "");
  WORKS(remove(*copy));
}
TEST_F(Clones, DecoupledOnesStandAlone) {
  auto id = create("a");
  auto snap = snapshot(*id, "s");
  auto copy = clone(*snap, "c");
  WORKS(decouple(*copy));
  EXPECT_EQ(get(*copy).parent, "");
}
TEST_F(Clones, WithoutAParentThereIsNothingToDecouple) {
  auto id = create("a");
  REFUSED(decouple(*id), invalid_argument);
}
TEST_F(Clones, AbsentOnesAreNeitherInflatedNorDecoupled) {
  REFUSED(inflate(kNobody), not_found);
  REFUSED(decouple(kNobody), not_found);
}

class Lanes : public Contract {};
TEST_F(Lanes, ManyCreatesAtOnceAllSucceed) {
  std::vector<Result<DpuVolumeId>> made;
  for (int i = 0; i < 20; ++i) {
    dpu::CreateVolume want{pool_id, "v" + std::to_string(i), MiB(1), true};
    boost::asio::co_spawn(
        io, [this, want] { return dpu->create_volume(want, soon()); },
        [&made](std::exception_ptr, Result<DpuVolumeId> id) { made.push_back(std::move(id)); });
  }
  io.restart();
  while (made.size() < 20 && io.run_one_for(seconds(60)) > 0) {
  }
  ASSERT_EQ(made.size(), 20u);
  for (const auto& id : made) EXPECT_TRUE(id) << id.error().describe();
  EXPECT_EQ(volumes()->size(), 20u);
}
TEST_F(Lanes, OfManyCreatesWithOneNameOneSucceeds) {
  std::vector<Result<DpuVolumeId>> made;
  dpu::CreateVolume want{pool_id, "same", MiB(1), true};
  for (int i = 0; i < 8; ++i)
    boost::asio::co_spawn(
        io, [this, want] { return dpu->create_volume(want, soon()); },
        [&made](std::exception_ptr, Result<DpuVolumeId> id) { made.push_back(std::move(id)); });
  io.restart();
  while (made.size() < 8 && io.run_one_for(seconds(60)) > 0) {
  }
  int won = 0;
  for (const auto& id : made) {
    won += id ? 1 : 0;
    if (!id) {
      EXPECT_EQ(id.error().code, Errc::already_exists);
    }
  }
  EXPECT_EQ(won, 1);
}
TEST_F(Lanes, DeleteAndGrowOfOneVolumeAtOnceEndInOrder) {
  auto id = create("a");
  std::vector<Result<void>> ends;
  auto keep = [&ends](std::exception_ptr, Result<void> r) { ends.push_back(std::move(r)); };
  boost::asio::co_spawn(
      io, [this, &id] { return dpu->resize_volume(*id, MiB(64), soon()); }, keep);
  boost::asio::co_spawn(
      io, [this, &id] { return dpu->delete_volume(*id, soon()); }, keep);
  io.restart();
  while (ends.size() < 2 && io.run_one_for(seconds(60)) > 0) {
  }
  ASSERT_EQ(ends.size(), 2u);
  EXPECT_TRUE(ends[0] && ends[1]);
  EXPECT_FALSE(*find("a"));
}

}  // namespace
}  // namespace vnvme::contract
