// F1 and F2 for every SR, Volume and Datapath call: each step of each call
// (store commits, DPU calls, host calls) fails once in each way, or the daemon
// dies before or after it; then the daemon runs (again), and store, DPU and
// host must agree (C1 to C6).
#include <gtest/gtest.h>

#include <functional>
#include <iostream>

#include "support/rig.hpp"

namespace vnvme::test {
namespace {

struct Scenario {
  const char* name;
  // Prepares without faults; may leave names of volumes in `keys`.
  std::function<void(Rig&, std::vector<VolumeId>& keys)> prepare;
  // The call under test. Answers: true success, false an error, nothing when the daemon died.
  std::function<std::optional<bool>(Rig&, std::vector<VolumeId>& keys)> act;
  // What must hold afterwards, given the answer.
  std::function<void(Rig&, const std::vector<VolumeId>& keys, std::optional<bool> answer,
                     const std::string& where)>
      after;
};

template <class T>
std::optional<bool> verdict(const std::optional<Result<T>>& answer) {
  if (!answer) return std::nullopt;
  return answer->has_value();
}

void with_sr(Rig& rig, std::vector<VolumeId>&) {
  ASSERT_TRUE(rig.make_sr().value());
}

void with_volume(Rig& rig, std::vector<VolumeId>& keys) {
  with_sr(rig, keys);
  auto v = rig.create("v", GiB(1)).value();
  ASSERT_TRUE(v) << v.error().describe();
  keys.push_back(v->key);
  rig.lvol(v->key)->content = "data";
}

void with_snapshot(Rig& rig, std::vector<VolumeId>& keys) {
  with_volume(rig, keys);
  auto s = rig.snapshot(keys[0]).value();
  ASSERT_TRUE(s);
  keys.push_back(s->key);
  rig.lvol(keys[0])->content = "newer";
}

void with_vm(Rig& rig, std::vector<VolumeId>& keys) {
  with_volume(rig, keys);
  rig.domains.running[17] = rig.vm;
  ASSERT_TRUE(rig.reserve(rig.vm).value());
}

void with_attached(Rig& rig, std::vector<VolumeId>& keys) {
  with_vm(rig, keys);
  ASSERT_TRUE(rig.attach(keys[0], "17").value());
  ASSERT_TRUE(rig.activate(keys[0], "17").value());
}

bool visible(Rig& rig, const VolumeId& id) {
  return rig.services->core().world.visible(rig.sr, id) != nullptr;
}

std::size_t listed(Rig& rig) {
  auto list = rig.run<Result<std::vector<smapi::Volume>>>(
      [&rig] { return rig.services->sr_ls(rig.context("SR.ls"), rig.sr); });
  EXPECT_TRUE(list && *list) << (list && !*list ? list->error().describe() : "");
  return list && *list ? (*list)->size() : 0;
}

std::optional<bool> sr_create(Rig& rig, smapi::Strings config) {
  return verdict(rig.run<Result<smapi::Strings>>([&rig, config] {
    return rig.services->sr_create(rig.context("SR.create"), rig.sr, config, "n", "d");
  }));
}

// A call that makes a volume: it is listed if and only if the caller was told so (or may have been).
void made_or_not(Rig& rig, std::size_t before, std::optional<bool> answer, const std::string& where) {
  std::size_t now = listed(rig);
  if (!answer) {
    EXPECT_LE(now, before + 1) << where;
  } else {
    EXPECT_EQ(now, before + (*answer ? 1 : 0)) << where;
  }
}

std::vector<Scenario> scenarios() {
  using Keys = std::vector<VolumeId>;
  auto nothing = [](Rig&, const Keys&, std::optional<bool>, const std::string&) {};
  auto stays = [](Rig& rig, const Keys& keys, std::optional<bool>, const std::string& where) {
    EXPECT_TRUE(visible(rig, keys[0])) << where;
    EXPECT_EQ(rig.lvol(keys[0])->content, "data") << where;
  };
  auto void_call = [](Rig& rig, std::function<Task<Result<void>>()> call) {
    return verdict(rig.run<Result<void>>(std::move(call)));
  };
  std::vector<Scenario> out;
  out.push_back({"SR.create", [](Rig&, Keys&) {},
                 [](Rig& rig, Keys&) {
                   return sr_create(rig, {{"dpu", "dpu0"}, {"drives", "S0"}});
                 },
                 [](Rig& rig, const Keys&, std::optional<bool> answer, const std::string& where) {
                   if (answer) {
                     EXPECT_EQ(rig.card.pools.size(), *answer ? 1u : 0u) << where;
                   }
                   // The same named request again gives the answer that it would have given (C2).
                   EXPECT_EQ(sr_create(rig, {{"dpu", "dpu0"}, {"drives", "S0"}}), true) << where;
                 }});
  out.push_back({"SR.create raid", [](Rig&, Keys&) {},
                 [](Rig& rig, Keys&) {
                   return sr_create(rig, {{"dpu", "dpu0"}, {"drives", "S0,S1"}, {"raid", "raid1"}});
                 },
                 [](Rig& rig, const Keys&, std::optional<bool> answer, const std::string& where) {
                   if (answer) {
                     EXPECT_EQ(rig.card.raids.size(), *answer ? 1u : 0u) << where;
                   }
                 }});
  out.push_back({"SR.attach", with_sr,
                 [](Rig& rig, Keys&) {
                   return verdict(rig.run<Result<SrId>>([&rig] {
                     return rig.services->sr_attach(rig.context("SR.attach"), {{"sr_uuid", rig.sr.value}});
                   }));
                 },
                 nothing});
  out.push_back({"SR.detach", with_volume,
                 [void_call](Rig& rig, Keys&) {
                   return void_call(
                       rig, [&rig] { return rig.services->sr_detach(rig.context("SR.detach"), rig.sr); });
                 },
                 nothing});
  out.push_back({"SR.stat", with_volume,
                 [](Rig& rig, Keys&) {
                   return verdict(rig.run<Result<smapi::SrStat>>(
                       [&rig] { return rig.services->sr_stat(rig.context("SR.stat"), rig.sr); }));
                 },
                 stays});
  out.push_back({"SR.ls", with_volume,
                 [](Rig& rig, Keys&) -> std::optional<bool> {
                   auto list = rig.run<Result<std::vector<smapi::Volume>>>(
                       [&rig] { return rig.services->sr_ls(rig.context("SR.ls"), rig.sr); });
                   if (list && *list) {
                     EXPECT_EQ((*list)->size(), 1u) << "a success never lacks a volume (I2)";
                   }
                   return verdict(list);
                 },
                 stays});
  out.push_back({"SR.probe", with_volume,
                 [](Rig& rig, Keys&) {
                   return verdict(rig.run<Result<std::vector<smapi::Probe>>>([&rig] {
                     return rig.services->sr_probe(rig.context("SR.probe"), {{"dpu", "dpu0"}});
                   }));
                 },
                 stays});
  out.push_back({"SR.set_name", with_sr,
                 [void_call](Rig& rig, Keys&) {
                   return void_call(rig, [&rig] {
                     return rig.services->sr_set_name(rig.context("SR.set_name"), rig.sr, "x");
                   });
                 },
                 [](Rig& rig, const Keys&, std::optional<bool> answer, const std::string& where) {
                   if (answer == true) {
                     EXPECT_EQ(rig.services->core().world.sr(rig.sr)->name, "x") << where;
                   }
                 }});
  out.push_back({"SR.set_description", with_sr,
                 [void_call](Rig& rig, Keys&) {
                   return void_call(rig, [&rig] {
                     return rig.services->sr_set_description(rig.context("SR.set_description"), rig.sr, "x");
                   });
                 },
                 nothing});
  out.push_back({"SR.destroy", with_sr,
                 [void_call](Rig& rig, Keys&) {
                   return void_call(
                       rig, [&rig] { return rig.services->sr_destroy(rig.context("SR.destroy"), rig.sr); });
                 },
                 [](Rig& rig, const Keys&, std::optional<bool> answer, const std::string& where) {
                   if (answer == true) {
                     EXPECT_TRUE(rig.card.pools.empty()) << where;
                   }
                 }});
  out.push_back({"Volume.create", with_sr, [](Rig& rig, Keys&) { return verdict(rig.create("n", GiB(1))); },
                 [](Rig& rig, const Keys&, std::optional<bool> answer, const std::string& where) {
                   made_or_not(rig, 0, answer, where);
                 }});
  out.push_back({"Volume.create 0 bytes", with_sr,
                 [](Rig& rig, Keys&) { return verdict(rig.create("n", Bytes{0})); },
                 [](Rig& rig, const Keys&, std::optional<bool> answer, const std::string& where) {
                   made_or_not(rig, 0, answer, where);
                 }});
  out.push_back({"Volume.snapshot", with_volume,
                 [](Rig& rig, Keys& keys) { return verdict(rig.snapshot(keys[0])); },
                 [stays](Rig& rig, const Keys& keys, std::optional<bool> answer, const std::string& where) {
                   made_or_not(rig, 1, answer, where);
                   stays(rig, keys, answer, where);
                 }});
  out.push_back({"Volume.clone", with_volume,
                 [](Rig& rig, Keys& keys) { return verdict(rig.clone(keys[0])); },
                 [stays](Rig& rig, const Keys& keys, std::optional<bool> answer, const std::string& where) {
                   made_or_not(rig, 1, answer, where);
                   stays(rig, keys, answer, where);
                 }});
  out.push_back({"Volume.clone of a snapshot", with_snapshot,
                 [](Rig& rig, Keys& keys) { return verdict(rig.clone(keys[1])); },
                 [](Rig& rig, const Keys& keys, std::optional<bool> answer, const std::string& where) {
                   made_or_not(rig, 2, answer, where);
                   EXPECT_EQ(rig.lvol(keys[1])->content, "data") << where;
                 }});
  out.push_back({"Volume.clone of a cloned volume",
                 [](Rig& rig, Keys& keys) {
                   with_volume(rig, keys);
                   ASSERT_TRUE(rig.clone(keys[0]).value());
                 },
                 [](Rig& rig, Keys& keys) { return verdict(rig.clone(keys[0])); },
                 [](Rig& rig, const Keys&, std::optional<bool> answer, const std::string& where) {
                   made_or_not(rig, 2, answer, where);
                 }});
  out.push_back({"Volume.destroy", with_volume,
                 [](Rig& rig, Keys& keys) { return verdict(rig.destroy(keys[0])); },
                 [](Rig& rig, const Keys& keys, std::optional<bool> answer, const std::string& where) {
                   if (answer) {
                     EXPECT_EQ(visible(rig, keys[0]), !*answer) << where;
                   }
                 }});
  out.push_back({"Volume.destroy in pieces",
                 [](Rig& rig, Keys& keys) {
                   rig.wipe_piece = MiB(64);
                   rig.crash();
                   rig.boot();
                   ASSERT_TRUE(rig.make_sr("provisioning", "thick").value());
                   keys.push_back(rig.create("v", MiB(512)).value()->key);
                 },
                 [](Rig& rig, Keys& keys) { return verdict(rig.destroy(keys[0])); },
                 [](Rig& rig, const Keys& keys, std::optional<bool> answer, const std::string& where) {
                   if (answer == true) {
                     EXPECT_EQ(rig.lvol(keys[0]), nullptr) << where;
                   }
                 }});
  out.push_back({"Volume.destroy of a snapshot", with_snapshot,
                 [](Rig& rig, Keys& keys) { return verdict(rig.destroy(keys[1])); },
                 [](Rig& rig, const Keys& keys, std::optional<bool>, const std::string& where) {
                   EXPECT_EQ(rig.lvol(keys[0])->content, "newer") << where;
                 }});
  out.push_back({"Volume.destroy of a snapshot with clones",
                 [](Rig& rig, Keys& keys) {
                   with_snapshot(rig, keys);
                   ASSERT_TRUE(rig.clone(keys[1]).value());
                 },
                 [](Rig& rig, Keys& keys) { return verdict(rig.destroy(keys[1])); },
                 [](Rig& rig, const Keys& keys, std::optional<bool>, const std::string& where) {
                   EXPECT_TRUE(visible(rig, keys[0])) << where;
                 }});
  out.push_back({"Volume.stat", with_volume,
                 [](Rig& rig, Keys& keys) {
                   return verdict(rig.run<Result<smapi::Volume>>([&rig, keys] {
                     return rig.services->volume_stat(rig.context("Volume.stat"), rig.sr, keys[0]);
                   }));
                 },
                 stays});
  out.push_back(
      {"Volume.set_name", with_volume,
       [void_call](Rig& rig, Keys& keys) {
         return void_call(rig, [&rig, keys] {
           return rig.services->volume_set_name(rig.context("Volume.set_name"), rig.sr, keys[0], "new");
         });
       },
       [](Rig& rig, const Keys& keys, std::optional<bool> answer, const std::string& where) {
         if (answer) {
           EXPECT_EQ(rig.services->core().world.volume(keys[0])->name, *answer ? "new" : "v") << where;
         }
       }});
  out.push_back({"Volume.set_description", with_volume,
                 [void_call](Rig& rig, Keys& keys) {
                   return void_call(rig, [&rig, keys] {
                     return rig.services->volume_set_description(rig.context("Volume.set_description"),
                                                                 rig.sr, keys[0], "new");
                   });
                 },
                 stays});
  out.push_back({"Volume.set", with_volume,
                 [void_call](Rig& rig, Keys& keys) {
                   return void_call(rig, [&rig, keys] {
                     return rig.services->volume_set(rig.context("Volume.set"), rig.sr, keys[0], "k", "v");
                   });
                 },
                 [](Rig& rig, const Keys& keys, std::optional<bool> answer, const std::string& where) {
                   if (answer) {
                     EXPECT_EQ(rig.services->core().world.volume(keys[0])->keys.contains("k"), *answer)
                         << where;
                   }
                 }});
  out.push_back({"Volume.unset", with_volume,
                 [void_call](Rig& rig, Keys& keys) {
                   return void_call(rig, [&rig, keys] {
                     return rig.services->volume_unset(rig.context("Volume.unset"), rig.sr, keys[0], "k");
                   });
                 },
                 stays});
  out.push_back({"Volume.resize", with_volume,
                 [void_call](Rig& rig, Keys& keys) {
                   return void_call(rig, [&rig, keys] {
                     return rig.services->volume_resize(rig.context("Volume.resize"), rig.sr, keys[0],
                                                        GiB(2));
                   });
                 },
                 [](Rig& rig, const Keys& keys, std::optional<bool> answer, const std::string& where) {
                   if (answer == true) {
                     EXPECT_EQ(rig.services->core().world.volume(keys[0])->size, GiB(2)) << where;
                   }
                 }});
  out.push_back({"Volume.resize from 0 bytes",
                 [](Rig& rig, Keys& keys) {
                   with_sr(rig, keys);
                   keys.push_back(rig.create("v", Bytes{0}).value()->key);
                 },
                 [void_call](Rig& rig, Keys& keys) {
                   return void_call(rig, [&rig, keys] {
                     return rig.services->volume_resize(rig.context("Volume.resize"), rig.sr, keys[0],
                                                        GiB(2));
                   });
                 },
                 [](Rig& rig, const Keys& keys, std::optional<bool>, const std::string& where) {
                   EXPECT_TRUE(visible(rig, keys[0])) << where;
                 }});
  out.push_back({"Volume.revert", with_snapshot,
                 [void_call](Rig& rig, Keys& keys) {
                   return void_call(rig, [&rig, keys] {
                     return rig.services->volume_revert(rig.context("Volume.revert"), rig.sr, keys[1],
                                                        keys[0]);
                   });
                 },
                 [](Rig& rig, const Keys& keys, std::optional<bool> answer, const std::string& where) {
                   std::string now = rig.lvol(keys[0])->content;
                   if (answer) {
                     EXPECT_EQ(now, *answer ? "data" : "newer") << where;
                   } else {
                     EXPECT_TRUE(now == "data" || now == "newer") << where;
                   }
                 }});
  out.push_back({"Volume.revert of a grown volume",
                 [void_call](Rig& rig, Keys& keys) {
                   with_snapshot(rig, keys);
                   EXPECT_EQ(void_call(rig,
                                       [&rig, keys] {
                                         return rig.services->volume_resize(rig.context("Volume.resize"),
                                                                            rig.sr, keys[0], GiB(3));
                                       }),
                             true);
                 },
                 [void_call](Rig& rig, Keys& keys) {
                   return void_call(rig, [&rig, keys] {
                     return rig.services->volume_revert(rig.context("Volume.revert"), rig.sr, keys[1],
                                                        keys[0]);
                   });
                 },
                 [](Rig& rig, const Keys& keys, std::optional<bool>, const std::string& where) {
                   EXPECT_EQ(rig.services->core().world.volume(keys[0])->size, GiB(3))
                       << where << ": never smaller (I5)";
                 }});
  out.push_back({"Datapath.attach", with_vm,
                 [](Rig& rig, Keys& keys) { return verdict(rig.attach(keys[0], "17")); }, stays});
  out.push_back({"Datapath.attach dom0", with_volume,
                 [](Rig& rig, Keys& keys) { return verdict(rig.attach(keys[0], "u0_x")); }, stays});
  out.push_back({"Datapath.activate",
                 [](Rig& rig, Keys& keys) {
                   with_vm(rig, keys);
                   ASSERT_TRUE(rig.attach(keys[0], "17").value());
                 },
                 [](Rig& rig, Keys& keys) { return verdict(rig.activate(keys[0], "17")); }, stays});
  out.push_back({"Datapath.activate_readonly",
                 [](Rig& rig, Keys& keys) {
                   with_volume(rig, keys);
                   ASSERT_TRUE(rig.attach(keys[0], "u0_x").value());
                 },
                 [](Rig& rig, Keys& keys) { return verdict(rig.activate(keys[0], "u0_x", true)); }, stays});
  auto never_fails = [stays](Rig& rig, const Keys& keys, std::optional<bool> answer,
                             const std::string& where) {
    EXPECT_NE(answer, false) << where << ": deactivate and detach never fail (R3)";
    stays(rig, keys, answer, where);
  };
  out.push_back({"Datapath.deactivate", with_attached,
                 [](Rig& rig, Keys& keys) { return verdict(rig.release(keys[0], "17")); }, never_fails});
  out.push_back({"Datapath.detach", with_attached,
                 [void_call](Rig& rig, Keys& keys) {
                   return void_call(rig, [&rig, keys] {
                     return rig.services->datapath_detach(rig.context("Datapath.detach"), rig.uri(keys[0]),
                                                          "17");
                   });
                 },
                 never_fails});
  out.push_back({"Datapath.detach dom0",
                 [](Rig& rig, Keys& keys) {
                   with_volume(rig, keys);
                   ASSERT_TRUE(rig.attach(keys[0], "u0_x").value());
                 },
                 [void_call](Rig& rig, Keys& keys) {
                   return void_call(rig, [&rig, keys] {
                     return rig.services->datapath_detach(rig.context("Datapath.detach"), rig.uri(keys[0]),
                                                          "u0_x");
                   });
                 },
                 never_fails});
  out.push_back(
      {"reserve", with_volume, [](Rig& rig, Keys&) { return verdict(rig.reserve(rig.vm)); }, stays});
  out.push_back({"unreserve", with_vm,
                 [](Rig& rig, Keys&) {
                   return verdict(rig.run<Result<nlohmann::json>>([&rig] {
                     return rig.services->admin("unreserve", nlohmann::json{{"vm", rig.vm.value}},
                                                Deadline::after(std::chrono::seconds(30)));
                   }));
                 },
                 stays});
  return out;
}

struct Ways {
  const char* name;
  std::vector<Fault> faults;
};

std::string label(const Scenario& s, std::size_t n, const Fault& f, const FaultPlan& plan) {
  static constexpr const char* kinds[] = {"none",         "error",       "lost_before", "lost_after",
                                          "crash_before", "crash_after", "lost_late",   "crash_late"};
  return std::string(s.name) + " step " + std::to_string(n) + " (" + plan.where() + ") " +
         kinds[static_cast<int>(f.kind)] + " " + std::string(to_string(f.code));
}

// One fault at one step of one scenario; false when the scenario has fewer steps.
bool one_case(const Scenario& scenario, std::size_t step, const Fault& fault) {
  Rig rig;
  std::vector<VolumeId> keys;
  scenario.prepare(rig, keys);
  rig.plan.arm(step, fault);
  auto answer = scenario.act(rig, keys);
  // The housekeeper is part of the daemon: what it does after the call is tried as well.
  if (rig.services && !rig.plan.hit()) rig.advance(std::chrono::seconds(3));
  bool hit = rig.plan.hit();
  std::string where = label(scenario, step, fault, rig.plan);
  rig.plan.disarm();
  if (!hit) return false;
  if (!rig.services) rig.boot();
  if (!rig.plan.late.empty()) {
    rig.advance(std::chrono::seconds(1));
    for (auto& effect : rig.plan.late) effect();
    rig.plan.late.clear();
  }
  rig.domains.running.clear();  // whatever was attached is released: nothing may be left
  EXPECT_TRUE(rig.settle(std::chrono::minutes(3))) << where << ": does not come to rest";
  rig.check(where);
  scenario.after(rig, keys, answer, where);
  EXPECT_TRUE(rig.settle(std::chrono::minutes(3))) << where;
  rig.check(where + ", in the end");
  return true;
}

std::size_t sweep(const std::vector<Fault>& faults) {
  std::size_t cases = 0, points = 0;
  for (const Scenario& scenario : scenarios()) {
    std::size_t steps = 0;
    for (const Fault& fault : faults) {
      std::size_t step = 0;
      while (step < 400 && one_case(scenario, step, fault)) {
        ++step;
        ++cases;
        if (::testing::Test::HasFailure()) return cases;  // the first is the one to look at
      }
      EXPECT_LT(step, 400u) << scenario.name << " never ends";
      steps = std::max(steps, step);
    }
    points += steps;
  }
  std::cout << points << " points, " << cases << " cases\n";
  return cases;
}

TEST(EveryStep, IsRefusedOnce) {
  std::vector<Fault> faults;
  for (Errc code : {Errc::io, Errc::not_found, Errc::already_exists, Errc::no_space, Errc::in_use,
                    Errc::unreachable, Errc::cancelled})
    faults.push_back({FaultKind::error, code});
  EXPECT_GT(sweep(faults), 1000u);
}

TEST(EveryStep, LosesItsAnswerOnce) {
  EXPECT_GT(sweep({{FaultKind::lost_before, Errc::timeout}, {FaultKind::lost_after, Errc::timeout}}), 300u);
}

TEST(EveryStep, HappensLaterThanAnybodyLooks) {
  EXPECT_GT(sweep({{FaultKind::lost_late, Errc::timeout}, {FaultKind::crash_late, Errc::io}}), 300u);
}

TEST(EveryStep, DiesWithTheDaemon) {
  EXPECT_GT(sweep({{FaultKind::crash_before, Errc::io}, {FaultKind::crash_after, Errc::io}}), 300u);
}

}  // namespace
}  // namespace vnvme::test
