// A volume's life through the services, on fakes.
#include <gtest/gtest.h>

#include "model/names.hpp"
#include "support/rig.hpp"

namespace vnvme::test {
namespace {

using smapi::Backend;

TEST(Life, CreateSnapshotCloneRevertDestroy) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("disk one", GiB(1)).value();
  ASSERT_TRUE(v) << v.error().describe();
  EXPECT_EQ(v->virtual_size, GiB(1));
  EXPECT_TRUE(v->read_write);
  rig.lvol(v->key)->content = "first";

  auto s = rig.snapshot(v->key).value();
  ASSERT_TRUE(s) << s.error().describe();
  EXPECT_FALSE(s->read_write);
  rig.lvol(v->key)->content = "second";
  auto c = rig.clone(s->key).value();
  ASSERT_TRUE(c);
  EXPECT_EQ(rig.lvol(c->key)->content, "first");

  auto reverted = rig.run<Result<void>>(
      [&] { return rig.services->volume_revert(rig.context("Volume.revert"), rig.sr, s->key, v->key); });
  ASSERT_TRUE(*reverted) << reverted->error().describe();
  EXPECT_EQ(rig.lvol(v->key)->content, "first");
  ASSERT_TRUE(rig.settle());
  rig.check("after revert");
  EXPECT_EQ(rig.lvol(v->key)->info.name, model::volume_name(v->key, "disk one", 63));

  for (const auto& key : {v->key, s->key, c->key}) EXPECT_TRUE(rig.destroy(key).value());
  EXPECT_TRUE(rig.destroy(v->key).value()) << "the broker destroys twice";
  ASSERT_TRUE(rig.settle());
  EXPECT_TRUE(rig.card.lvols.empty());
  auto gone =
      rig.run<Result<void>>([&] { return rig.services->sr_destroy(rig.context("SR.destroy"), rig.sr); });
  ASSERT_TRUE(*gone) << gone->error().describe();
  EXPECT_TRUE(rig.card.pools.empty());
  EXPECT_FALSE(rig.card.drives.begin()->second.claimed);
}

TEST(Life, CloneOfUnchangedVolumeReusesItsHiddenSnapshot) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("golden", GiB(1)).value();
  rig.lvol(v->key)->content = "os";
  auto a = rig.clone(v->key).value();
  ASSERT_TRUE(a) << a.error().describe();
  auto b = rig.clone(v->key).value();
  ASSERT_TRUE(b) << b.error().describe();
  EXPECT_EQ(rig.card.lvols.size(), 4u) << "one hidden snapshot for both clones";
  EXPECT_EQ(rig.lvol(b->key)->content, "os");
  // Hidden ones are never listed.
  auto list = rig.run<Result<std::vector<smapi::Volume>>>(
      [&] { return rig.services->sr_ls(rig.context("SR.ls"), rig.sr); });
  EXPECT_EQ((*list)->size(), 3u);
  // With one child left the hidden snapshot is merged away.
  ASSERT_TRUE(rig.destroy(a->key).value());
  ASSERT_TRUE(rig.destroy(b->key).value());
  ASSERT_TRUE(rig.settle());
  rig.advance(std::chrono::seconds(30));
  EXPECT_EQ(rig.card.lvols.size(), 1u);
  EXPECT_EQ(rig.lvol(v->key)->content, "os");
  rig.check("after the merge");
}

TEST(Life, ACloneHasWhatTheGuestWroteSinceTheLastOne) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  auto first = rig.clone(v->key).value();
  ASSERT_TRUE(first);
  // A VM had it meanwhile, and nobody listed the SR since.
  rig.lvol(v->key)->info.allocated = MiB(4);
  auto second = rig.clone(v->key).value();
  ASSERT_TRUE(second);
  EXPECT_NE(rig.lvol(second->key)->info.parent, rig.lvol(first->key)->info.parent)
      << "the hidden snapshot of the first clone is older than the volume";
  EXPECT_EQ(rig.lvol(second->key)->info.parent, rig.lvol(v->key)->info.parent);
  ASSERT_TRUE(rig.settle());
  rig.check("two hidden snapshots");
}

TEST(Life, SnapshotWithSeveralClonesLivesOnHidden) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  auto s = rig.snapshot(v->key).value();
  auto c = rig.clone(s->key).value();
  ASSERT_TRUE(rig.destroy(s->key).value());
  ASSERT_TRUE(rig.settle());
  auto stat = rig.run<Result<smapi::Volume>>(
      [&] { return rig.services->volume_stat(rig.context("Volume.stat"), rig.sr, s->key); });
  EXPECT_EQ(stat->error().code, Errc::not_found);
  rig.check("hidden");
  ASSERT_TRUE(rig.destroy(c->key).value());
  ASSERT_TRUE(rig.settle());
  rig.advance(std::chrono::seconds(30));
  EXPECT_EQ(rig.card.lvols.size(), 1u);
}

TEST(Life, GrowsAndNeverShrinks) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", MiB(5)).value();
  EXPECT_EQ(v->virtual_size, MiB(8)) << "the DPU rounds up to its clusters";
  auto resize = [&](Bytes size) {
    return *rig.run<Result<void>>([&, size] {
      return rig.services->volume_resize(rig.context("Volume.resize"), rig.sr, v->key, size);
    });
  };
  EXPECT_TRUE(resize(MiB(9)));
  EXPECT_EQ(rig.lvol(v->key)->info.size, MiB(12));
  EXPECT_TRUE(resize(MiB(12))) << "the same size again";
  auto shrunk = resize(MiB(4));
  EXPECT_EQ(shrunk.error().code, Errc::not_supported);
  EXPECT_EQ(rig.card.shrinks, 0u);
  auto s = rig.snapshot(v->key).value();
  auto of_snapshot = *rig.run<Result<void>>(
      [&] { return rig.services->volume_resize(rig.context("Volume.resize"), rig.sr, s->key, GiB(1)); });
  EXPECT_EQ(of_snapshot.error().code, Errc::not_permitted);
}

TEST(Life, VolumeOfNoBytesExistsButCannotBeExposed) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("empty", Bytes{0}).value();
  ASSERT_TRUE(v) << v.error().describe();
  EXPECT_EQ(v->virtual_size.value, 0u);
  auto attached = rig.attach(v->key, "u0_x").value();
  EXPECT_EQ(attached.error().code, Errc::not_supported);
  auto grown = rig.run<Result<void>>(
      [&] { return rig.services->volume_resize(rig.context("Volume.resize"), rig.sr, v->key, MiB(4)); });
  ASSERT_TRUE(*grown) << grown->error().describe();
  EXPECT_TRUE(rig.attach(v->key, "u0_x").value());
  EXPECT_TRUE(rig.release(v->key, "u0_x").value());
  EXPECT_TRUE(rig.destroy(v->key).value());
  ASSERT_TRUE(rig.settle());
  rig.check("end");
}

TEST(Life, KeysNamesAndLabelsOfAnyText) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  std::string name = "dïsk ☃/\n" + std::string(60000, 'n');
  auto v = rig.create(name, MiB(4)).value();
  ASSERT_TRUE(v) << v.error().describe();
  EXPECT_EQ(v->name, name);
  EXPECT_LE(rig.lvol(v->key)->info.name.size(), 63u);
  auto set = [&](std::string key, std::string value) {
    return *rig.run<Result<void>>([&, key, value] {
      return rig.services->volume_set(rig.context("Volume.set"), rig.sr, v->key, key, value);
    });
  };
  EXPECT_TRUE(set("vdi-type", "user"));
  EXPECT_TRUE(set("", "☃"));
  EXPECT_EQ(set("k", std::string(70000, 'x')).error().code, Errc::invalid_argument);
  auto renamed = rig.run<Result<void>>(
      [&] { return rig.services->volume_set_name(rig.context("Volume.set_name"), rig.sr, v->key, "new"); });
  EXPECT_TRUE(*renamed);
  ASSERT_TRUE(rig.settle());
  EXPECT_EQ(rig.lvol(v->key)->info.name, model::volume_name(v->key, "new", 63))
      << "the label follows on the DPU";
  auto stat = rig.run<Result<smapi::Volume>>(
      [&] { return rig.services->volume_stat(rig.context("Volume.stat"), rig.sr, v->key); });
  EXPECT_EQ((*stat)->keys, (smapi::Strings{{"", "☃"}, {"vdi-type", "user"}}));
}

TEST(Datapath, GuestGetsItsReservedFunctionAndNoSecondPath) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  rig.domains.running[17] = rig.vm;
  auto without = rig.attach(v->key, "17").value();
  EXPECT_EQ(without.error().code, Errc::not_permitted);
  EXPECT_NE(without.error().text.find("vnvme reserve "), std::string::npos) << without.error().text;
  ASSERT_TRUE(rig.reserve(rig.vm).value());
  auto first = rig.attach(v->key, "17").value();
  ASSERT_TRUE(first) << first.error().describe();
  auto second = rig.attach(v->key, "17").value();
  ASSERT_TRUE(second);
  ASSERT_EQ(first->implementations.size(), 2u);
  auto disk = std::get<Backend::XenDisk>(first->implementations[0]);
  EXPECT_EQ(disk.backend_type, "9pfs");
  EXPECT_EQ(disk.extra, std::get<Backend::XenDisk>(second->implementations[0]).extra);
  EXPECT_EQ(rig.pci.drivers[disk.extra.at("vnvme-bdf")], "pciback");
  EXPECT_EQ(rig.card.exposures.size(), 1u);
  EXPECT_EQ(rig.card.exposures[0].uuid, v->key.value);
  EXPECT_TRUE(rig.activate(v->key, "17").value());
  EXPECT_TRUE(rig.activate(v->key, "17").value());
  EXPECT_EQ(rig.destroy(v->key).value().error().code, Errc::in_use);
  rig.domains.running.clear();
  EXPECT_TRUE(rig.release(v->key, "17").value());
  EXPECT_TRUE(rig.release(v->key, "17").value());
  ASSERT_TRUE(rig.settle());
  EXPECT_TRUE(rig.card.exposures.empty());
  rig.check("released");
}

TEST(Datapath, RunningGuestKeepsItsNamespaceUntilItIsIdle) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  rig.domains.running[17] = rig.vm;
  ASSERT_TRUE(rig.reserve(rig.vm).value());
  ASSERT_TRUE(rig.attach(v->key, "17").value());
  ASSERT_TRUE(rig.activate(v->key, "17").value());
  ASSERT_TRUE(rig.release(v->key, "17").value());
  auto id = rig.services->core().world.volume(v->key)->dpu_id.value;
  for (int i = 0; i < 10; ++i) {
    ++rig.card.io[id].write_ops;
    rig.advance(std::chrono::seconds(1));
  }
  EXPECT_EQ(rig.card.exposures.size(), 1u) << "the guest still writes";
  auto dom0 = rig.run<Result<Backend>>([&] {
    smapi::Context c = rig.context("Datapath.attach");
    c.deadline = Deadline::after(std::chrono::milliseconds(500));
    return rig.services->datapath_attach(c, rig.uri(v->key), "u0_copy");
  });
  EXPECT_EQ(dom0->error().code, Errc::busy) << dom0->error().describe();
  rig.advance(std::chrono::seconds(4));
  EXPECT_TRUE(rig.card.exposures.empty());
}

TEST(Datapath, DomainThatVanishesIsCleanedUpWithoutACall) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  rig.domains.running[17] = rig.vm;
  ASSERT_TRUE(rig.reserve(rig.vm).value());
  ASSERT_TRUE(rig.attach(v->key, "17").value());
  rig.domains.running.clear();
  rig.advance(std::chrono::seconds(25));
  EXPECT_TRUE(rig.card.exposures.empty());
  EXPECT_TRUE(rig.memory.contents().attachments.empty());
}

TEST(Datapath, Dom0CountsAsOneOwnerWithManyAttachers) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  auto a = rig.attach(v->key, "u0_vbd_0_xvda").value();
  ASSERT_TRUE(a) << a.error().describe();
  EXPECT_EQ(std::get<Backend::BlockDevice>(a->implementations.at(0)).path, "/dev/fake-" + v->key.value);
  ASSERT_TRUE(rig.attach(v->key, "u0_vbd_0_xvdb").value());
  EXPECT_TRUE(rig.activate(v->key, "u0_vbd_0_xvda", true).value()) << "dom0 may read a writable volume";
  rig.domains.running[17] = rig.vm;
  ASSERT_TRUE(rig.reserve(rig.vm).value());
  EXPECT_EQ(rig.attach(v->key, "17").value().error().code, Errc::in_use);
  EXPECT_TRUE(rig.release(v->key, "u0_vbd_0_xvda").value());
  ASSERT_TRUE(rig.settle());
  EXPECT_EQ(rig.card.exposures.size(), 1u);
  EXPECT_TRUE(rig.release(v->key, "u0_vbd_0_xvdb").value());
  EXPECT_TRUE(rig.attach(v->key, "17").value());
}

// After a copy the VM starts at once: what detach answers is true. It comes after a deactivate that began the
// release.
TEST(Datapath, DetachFromDom0IsAnsweredWhenTheVolumeIsFree) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  auto detach = [&](const std::string& domain) {
    return rig.run<Result<void>>([&rig, domain, uri = rig.uri(v->key)] {
      return rig.services->datapath_detach(rig.context("Datapath.detach"), uri, domain);
    });
  };
  for (bool deactivated : {true, false}) {
    ASSERT_TRUE(rig.attach(v->key, "u0_vbd_0_xvda").value());
    ASSERT_EQ(rig.card.exposures.size(), 1u);
    if (deactivated) {
      ASSERT_TRUE(rig.release(v->key, "u0_vbd_0_xvda").value());
    }
    ASSERT_TRUE(detach("u0_vbd_0_xvda").value());
    EXPECT_TRUE(rig.card.exposures.empty()) << deactivated;
  }
  ASSERT_TRUE(rig.attach(v->key, "u0_vbd_0_xvda").value());
  rig.card.power(false);
  auto begin = MonoClock::now();
  ASSERT_TRUE(rig.release(v->key, "u0_vbd_0_xvda").value());
  EXPECT_TRUE(detach("u0_vbd_0_xvda").value()) << "whatever the DPU does";
  EXPECT_LE(MonoClock::now() - begin, std::chrono::seconds(3));
}

TEST(Datapath, ReadOnlyAndReadWriteNeverMix) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  auto s = rig.snapshot(v->key).value();
  rig.domains.running[17] = rig.vm;
  ASSERT_TRUE(rig.reserve(rig.vm).value());
  ASSERT_TRUE(rig.attach(s->key, "17").value());
  EXPECT_EQ(rig.activate(s->key, "17", false).value().error().code, Errc::not_permitted);
  EXPECT_TRUE(rig.activate(s->key, "17", true).value());
  ASSERT_TRUE(rig.attach(v->key, "17").value());
  EXPECT_EQ(rig.activate(v->key, "17", true).value().error().code, Errc::not_permitted);
  EXPECT_TRUE(rig.activate(v->key, "17", false).value());
  EXPECT_EQ(rig.card.exposures.size(), 2u) << "two namespaces of one function";
  EXPECT_NE(rig.card.exposures[0].nsid, rig.card.exposures[1].nsid);
}

TEST(Datapath, ReleaseNeverFails) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  for (const std::string domain : {"", "17", "u0_x", "garbage", "-1", "99999999999999999999"})
    EXPECT_TRUE(rig.release(v->key, domain).value()) << domain;
  auto odd = rig.run<Result<void>>(
      [&] { return rig.services->datapath_detach(rig.context("Datapath.detach"), "no uri of ours", "1"); });
  EXPECT_TRUE(*odd);
  ASSERT_TRUE(rig.attach(v->key, "u0_x").value());
  rig.card.power(false);
  rig.advance(std::chrono::seconds(1));
  EXPECT_TRUE(rig.release(v->key, "u0_x").value()) << "also without the DPU";
  rig.card.power(true);
  ASSERT_TRUE(rig.settle());
  rig.check("after the DPU came back");
}

TEST(Outage, ListingIsAnErrorNeverEmpty) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  rig.card.power(false);
  rig.advance(std::chrono::seconds(1));
  auto list = rig.run<Result<std::vector<smapi::Volume>>>(
      [&] { return rig.services->sr_ls(rig.context("SR.ls"), rig.sr); });
  EXPECT_EQ(list->error().code, Errc::unreachable);
  auto stat =
      rig.run<Result<smapi::SrStat>>([&] { return rig.services->sr_stat(rig.context("SR.stat"), rig.sr); });
  ASSERT_TRUE(*stat);
  EXPECT_EQ((*stat)->health, "Unreachable");
  EXPECT_EQ((*stat)->total_space, GiB(64)) << "the last known size";
  auto attached = rig.run<Result<SrId>>([&] {
    return rig.services->sr_attach(rig.context("SR.attach"), smapi::Strings{{"sr_uuid", rig.sr.value}});
  });
  EXPECT_TRUE(*attached) << "SR.attach is local";
  rig.card.power(true);
  list = rig.run<Result<std::vector<smapi::Volume>>>(
      [&] { return rig.services->sr_ls(rig.context("SR.ls"), rig.sr); });
  ASSERT_TRUE(*list);
  EXPECT_EQ((*list)->size(), 1u);
}

TEST(Outage, RightAfterAStartTheHealthIsWaitedForAShortWhile) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto health = [&rig]() {
    auto stat =
        rig.run<Result<smapi::SrStat>>([&] { return rig.services->sr_stat(rig.context("SR.stat"), rig.sr); });
    return stat && *stat ? (*stat)->health : "no answer";
  };
  rig.crash();
  rig.boot();
  EXPECT_EQ(health(), "Healthy") << "XAPI refuses to scan an SR that is not, and the DPU was never away";
  rig.crash();
  rig.card.power(false);
  rig.boot();
  const auto begin = MonoClock::now();
  EXPECT_EQ(health(), "Unreachable");
  EXPECT_LE(MonoClock::now() - begin, std::chrono::seconds(6));
  EXPECT_EQ(health(), "Unreachable");
  EXPECT_LE(MonoClock::now() - begin, std::chrono::seconds(6)) << "and only once";
}

TEST(Outage, ExposuresComeBackOnTheSameFunctionAfterTheDpuRestarted) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  rig.domains.running[17] = rig.vm;
  // Another VM has an earlier function; it goes, so that the first idle one is not the right one.
  VmId other("aaaaaaaa-0000-0000-0000-000000000002");
  ASSERT_TRUE(rig.reserve(other).value());
  ASSERT_TRUE(rig.reserve(rig.vm).value());
  auto gone = rig.run<Result<nlohmann::json>>([&] {
    return rig.services->admin("unreserve", {{"vm", other.value}}, Deadline::after(std::chrono::seconds(9)));
  });
  ASSERT_TRUE(*gone);
  ASSERT_TRUE(rig.attach(v->key, "17").value());
  auto before = rig.card.exposures.at(0);
  rig.pci.drivers.clear();
  rig.card.restart(false);
  rig.advance(std::chrono::seconds(2));
  ASSERT_TRUE(rig.settle());
  ASSERT_EQ(rig.card.exposures.size(), 1u);
  EXPECT_EQ(rig.card.exposures[0].function, before.function) << "the running guest holds that PCI device";
  EXPECT_EQ(rig.card.exposures[0].nsid, before.nsid);
  EXPECT_EQ(rig.card.exposures[0].uuid, before.uuid);
  EXPECT_EQ(rig.pci.drivers[rig.card.functions[before.function.value].bdf], "pciback");
}

TEST(Outage, LostStoreNeverTakesARunningGuestsNamespaceAway) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  rig.domains.running[17] = rig.vm;
  ASSERT_TRUE(rig.reserve(rig.vm).value());
  ASSERT_TRUE(rig.attach(v->key, "17").value());
  rig.crash();
  rig.memory = state::MemoryStore();
  rig.boot();
  rig.advance(std::chrono::minutes(5));
  EXPECT_EQ(rig.card.exposures.size(), 1u) << "without records nobody can tell that it is not wanted";
}

TEST(Outage, RaidIsPutTogetherAgain) {
  Rig rig;
  auto made = rig.run<Result<smapi::Strings>>([&] {
    return rig.services->sr_create(rig.context("SR.create"), rig.sr,
                                   {{"dpu", "dpu0"}, {"drives", "S0,S1"}, {"raid", "raid1"}}, "n", "d");
  });
  ASSERT_TRUE(*made) << made->error().describe();
  EXPECT_EQ((*made)->at("serials"), "S0,S1");
  ASSERT_TRUE(
      *rig.run<Result<SrId>>([&] { return rig.services->sr_attach(rig.context("SR.attach"), **made); }));
  auto v = rig.create("v", GiB(1)).value();
  rig.card.restart(false);
  rig.advance(std::chrono::seconds(2));
  auto stat = rig.run<Result<smapi::Volume>>(
      [&] { return rig.services->volume_stat(rig.context("Volume.stat"), rig.sr, v->key); });
  EXPECT_TRUE(*stat);
  EXPECT_EQ(rig.card.raids.size(), 1u);
  EXPECT_TRUE(rig.create("w", GiB(1)).value());
}

TEST(Outage, HostRebootVoidsEveryBinding) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  ASSERT_TRUE(rig.attach(v->key, "u0_x").value());
  rig.crash();
  rig.pci.boot = "boot-2";
  rig.boot();
  ASSERT_TRUE(rig.settle());
  EXPECT_TRUE(rig.card.exposures.empty());
  rig.check("after the reboot");
}

TEST(Word, WithoutItTheVolumeIsCollected) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto c = rig.context("Volume.create");
  auto made = rig.run<Result<smapi::Volume>>(
      [&] { return rig.services->volume_create(c, rig.sr, "n", "d", GiB(1), false); });
  ASSERT_TRUE(*made);
  auto list = rig.run<Result<std::vector<smapi::Volume>>>(
      [&] { return rig.services->sr_ls(rig.context("SR.ls"), rig.sr); });
  EXPECT_TRUE((*list)->empty()) << "not visible before the word";
  rig.services->abandoned(c.request);
  rig.advance(std::chrono::seconds(20));
  EXPECT_TRUE(rig.card.lvols.empty());
  rig.check("collected");
  auto late = rig.run<Result<void>>([&] { return rig.services->printing(c, "{}"); });
  EXPECT_EQ(late->error().code, Errc::timeout);
}

TEST(Word, ExpiresByItself) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto c = rig.context("Volume.create");
  ASSERT_TRUE(*rig.run<Result<smapi::Volume>>(
      [&] { return rig.services->volume_create(c, rig.sr, "n", "d", GiB(1), false); }));
  rig.advance(std::chrono::seconds(100));
  EXPECT_TRUE(rig.card.lvols.empty());
}

TEST(Word, AnswerIsRememberedOverARestart) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  std::string request = random_uuid();
  ASSERT_TRUE(rig.create("v", GiB(1), request).value());
  EXPECT_EQ(rig.services->recall(RequestId(request)), "{}");
  rig.crash();
  rig.boot();
  EXPECT_EQ(rig.services->recall(RequestId(request)), "{}");
  EXPECT_EQ(rig.services->recall(RequestId(random_uuid())), std::nullopt);
}

TEST(Adopt, LostStoreLosesNoVolumeAndNoName) {
  Rig rig;
  auto made = rig.run<Result<smapi::Strings>>([&] {
    return rig.services->sr_create(rig.context("SR.create"), rig.sr, {{"dpu", "dpu0"}, {"drives", "S0"}}, "n",
                                   "d");
  });
  ASSERT_TRUE(*made);
  ASSERT_TRUE(
      *rig.run<Result<SrId>>([&] { return rig.services->sr_attach(rig.context("SR.attach"), **made); }));
  auto v = rig.create("database", GiB(2)).value();
  auto s = rig.snapshot(v->key).value();
  ASSERT_TRUE(rig.clone(v->key).value());
  auto lvols = rig.card.lvols.size();
  rig.crash();
  rig.memory = state::MemoryStore();  // the disk died
  rig.boot();
  ASSERT_TRUE(
      *rig.run<Result<SrId>>([&] { return rig.services->sr_attach(rig.context("SR.attach"), **made); }));
  rig.advance(std::chrono::seconds(30));
  EXPECT_EQ(rig.card.lvols.size(), lvols) << "nothing is deleted for want of a record";
  auto list = rig.run<Result<std::vector<smapi::Volume>>>(
      [&] { return rig.services->sr_ls(rig.context("SR.ls"), rig.sr); });
  EXPECT_EQ(list->error().code, Errc::rebuilding) << "an answer with empty names would erase XAPI's own";
  auto stat = rig.run<Result<smapi::Volume>>(
      [&] { return rig.services->volume_stat(rig.context("Volume.stat"), rig.sr, v->key); });
  EXPECT_EQ(stat->error().code, Errc::rebuilding);
  auto adopted = rig.run<Result<nlohmann::json>>([&] {
    return rig.services->admin("adopt", {{"accept_missing", true}}, Deadline::after(std::chrono::seconds(9)));
  });
  ASSERT_TRUE(*adopted) << adopted->error().describe();
  list = rig.run<Result<std::vector<smapi::Volume>>>(
      [&] { return rig.services->sr_ls(rig.context("SR.ls"), rig.sr); });
  ASSERT_TRUE(*list) << list->error().describe();
  EXPECT_EQ((*list)->size(), 3u);
  for (const auto& found : **list) {
    EXPECT_EQ(found.name, "database");
    EXPECT_EQ(found.virtual_size, GiB(2));
    EXPECT_EQ(found.read_write, found.key != s->key);
  }
}

TEST(Sr, RefusesWhatIsNotItsOwn) {
  Rig rig;
  rig.blocks.drives_hold_data = true;
  auto full = rig.make_sr().value();
  EXPECT_EQ(full.error().code, Errc::in_use);
  EXPECT_NE(full.error().text.find("force_drives"), std::string::npos) << full.error().text;
  EXPECT_TRUE(rig.card.pools.empty());
  EXPECT_TRUE(rig.make_sr("force_drives", "S0").value());
  EXPECT_TRUE(rig.card.exposures.empty()) << "the look at the drive is taken back";
  auto c = rig.context("SR.create");
  SrId other("99999999-2222-3333-4444-555555555555");
  for (smapi::Strings config : std::vector<smapi::Strings>{
           {{"dpu", "dpu0"}, {"drives", "S0"}},
           {{"dpu", "dpu0"}, {"drives", "nope"}},
           {{"dpu", "dpu0"}},
           {{"drives", "S1"}},
           {{"dpu", "dpu0"}, {"drives", "S1"}, {"provisionning", "thin"}},
           {{"dpu", "dpu0"}, {"drives", "S1"}, {"provisioning", "fat"}},
           {{"dpu", "dpu0"}, {"drives", "S1,S1"}, {"raid", "raid0"}, {"force_drives", "S1"}},
           {{"dpu", "dpu0"}, {"drives", "S1"}, {"raid", "raid6"}, {"force_drives", "S1"}}}) {
    auto refused =
        rig.run<Result<smapi::Strings>>([&] { return rig.services->sr_create(c, other, config, "", ""); });
    EXPECT_FALSE(*refused);
  }
  ASSERT_TRUE(rig.settle());
  rig.check("one SR");
}

TEST(Sr, DestroyRefusesWhileAnythingIsInIt) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  auto v = rig.create("v", GiB(1)).value();
  auto destroy = [&] {
    return *rig.run<Result<void>>(
        [&] { return rig.services->sr_destroy(rig.context("SR.destroy"), rig.sr); });
  };
  EXPECT_EQ(destroy().error().code, Errc::in_use);
  ASSERT_TRUE(rig.destroy(v->key).value());
  Lvol stranger;
  stranger.info.id = DpuVolumeId("stranger");
  stranger.info.name = "somebody's";
  stranger.info.pool = rig.services->core().world.sr(rig.sr)->pool;
  rig.card.lvols["stranger"] = stranger;
  auto refused = destroy();
  EXPECT_EQ(refused.error().code, Errc::in_use) << "an lvol that we do not know is somebody's";
  rig.card.lvols.erase("stranger");
  EXPECT_TRUE(destroy());
  EXPECT_TRUE(destroy()) << "twice";
}

TEST(Space, ThickStaysThickAndThinStopsBeforeItIsFull) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr("provisioning", "thick").value());
  auto v = rig.create("v", GiB(40)).value();
  ASSERT_TRUE(v);
  EXPECT_EQ(rig.create("w", GiB(40)).value().error().code, Errc::no_space);
  ASSERT_TRUE(rig.snapshot(v->key).value());
  auto stat =
      rig.run<Result<smapi::SrStat>>([&] { return rig.services->sr_stat(rig.context("SR.stat"), rig.sr); });
  EXPECT_EQ((*stat)->free_space.value, 0u)
      << "24 GiB are free, but 40 are promised to what the guest will rewrite";
  EXPECT_EQ(rig.create("x", GiB(1)).value().error().code, Errc::no_space);

  Rig thin;
  ASSERT_TRUE(thin.make_sr().value());
  thin.card.pools.begin()->second.free = GiB(2);
  (void)thin.run<Result<smapi::SrStat>>(
      [&] { return thin.services->sr_stat(thin.context("SR.stat"), thin.sr); });
  auto refused = thin.create("v", GiB(1)).value();
  EXPECT_EQ(refused.error().code, Errc::no_space) << refused.error().describe();
}

}  // namespace
}  // namespace vnvme::test
