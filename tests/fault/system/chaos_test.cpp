// F15 on fakes: a seeded world. Several clients at once, in one pool and one VM; steps of the DPU, the store
// and the host fail by the seed, the daemon dies, the DPU restarts, the clock leaps (F12). Phase 1 is
// trouble; phase 2 heals everything and demands that all agree again, and that nobody was lied to.
//
// VNVME_SEEDS is how many seeds run (60), VNVME_SEED the first one. A failure names its seed.
#include <gtest/gtest.h>

#include <boost/asio/detached.hpp>
#include <cstdlib>
#include <iostream>
#include <random>

#include "support/rig.hpp"

namespace vnvme::test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::uint64_t from_env(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Known {
  VolumeId key;
  Bytes size;
  std::string content;
  bool snapshot = false;
};

// What one client was told. A call without an answer (the daemon died) leaves a doubt, never a lie.
struct Client {
  std::size_t number = 0;
  std::vector<Known> volumes;
  std::set<VolumeId> maybe_gone;
  std::size_t maybe_made = 0;
  bool busy = false;
};

class Chaos {
 public:
  explicit Chaos(std::uint64_t seed) : random_(seed) {
    for (std::size_t i = 0; i < clients_.size(); ++i) clients_[i].number = i;
  }

  void run() {
    ASSERT_TRUE(rig_.make_sr().value());
    rig_.domains.running[7] = rig_.vm;
    ASSERT_TRUE(rig_.reserve(rig_.vm).value());
    for (int round = 0; round < kRounds && !testing::Test::HasFailure(); ++round) {
      trouble();
      for (auto& client : clients_)
        if (!client.busy) begin(client);
      pass(milliseconds(static_cast<int>(pick(400))));
    }
    heal();
  }

  std::size_t calls = 0, deaths = 0, faults = 0;

 private:
  static constexpr int kRounds = 30;

  std::size_t pick(std::size_t below) { return static_cast<std::size_t>(random_()) % below; }

  // Arms the next fault, or does something drastic.
  void trouble() {
    if (rig_.plan.hit()) ++faults;
    late();  // sooner than anybody may take it for absent: what comes later than that cannot be recognised
    static constexpr std::array kinds{FaultKind::error,        FaultKind::lost_before, FaultKind::lost_after,
                                      FaultKind::crash_before, FaultKind::crash_after, FaultKind::lost_late};
    static constexpr std::array codes{Errc::io, Errc::no_space, Errc::unreachable, Errc::in_use};
    switch (pick(12)) {
      case 0:
        die();
        break;
      case 1:
        rig_.card.power(false);
        rig_.card.restart(false);
        break;
      case 2:
        MonoClock::advance(hours(static_cast<int>(pick(100'000))));  // a suspend of eleven years at most
        break;
      case 3:
      case 4:
        break;
      default:
        rig_.plan.arm(pick(60), Fault{kinds[pick(kinds.size())], codes[pick(codes.size())]});
    }
    if (pick(2) == 0) rig_.card.power(true);
  }

  void late() {
    for (auto& effect : rig_.plan.late) effect();
    rig_.plan.late.clear();
  }

  void die() {
    ++deaths;
    rig_.plan.disarm();
    rig_.crash();
    for (auto& client : clients_) client.busy = false;
    rig_.boot();
  }

  void pass(MonoClock::duration time) {
    auto end = MonoClock::now() + time;
    while (MonoClock::now() < end && !rig_.plan.crashed()) {
      rig_.io->restart();
      if (rig_.io->poll() == 0) MonoClock::advance(milliseconds(50));
    }
    if (rig_.plan.crashed()) die();
  }

  void begin(Client& client) {
    client.busy = true;
    ++calls;
    Client* c = &client;
    boost::asio::co_spawn(
        *rig_.io,
        [this, c]() -> Task<void> {
          co_await act(*c);
          c->busy = false;
        },
        boost::asio::detached);
  }

  Task<void> act(Client& client) {
    std::size_t what = client.volumes.empty() ? 0 : pick(7);
    if (what == 0) co_await make(client, VolumeId());
    if (what == 1) co_await make(client, any(client).key);
    if (what == 2) co_await destroy(client);
    if (what == 3) co_await grow(client);
    if (what >= 4) co_await lend(client);
  }

  Known& any(Client& client) { return client.volumes[pick(client.volumes.size())]; }

  // create, or a clone, or a snapshot; with the word, and an owner's own content.
  Task<void> make(Client& client, VolumeId of) {
    auto context = rig_.context("Volume.make");
    ++client.maybe_made;  // until there is an answer
    bool snapshot = !of.empty() && pick(2) == 0;
    Result<smapi::Volume> made = fail(Errc::internal, "not yet");
    std::string name = "n";
    if (of.empty())
      made = co_await rig_.services->volume_create(context, rig_.sr, name, name, MiB(8), false);
    else if (snapshot)
      made = co_await rig_.services->volume_snapshot(context, rig_.sr, of);
    else
      made = co_await rig_.services->volume_clone(context, rig_.sr, of);
    if (!made) {
      --client.maybe_made;
      co_return;
    }
    std::string answer = "{}";
    auto word = co_await rig_.services->printing(context, answer);
    if (!word) co_return;  // the front-end would tell of an error; the volume may be there or not
    --client.maybe_made;
    Known known{made->key, made->virtual_size, {}, !made->read_write};
    Lvol* lvol = rig_.lvol(known.key);
    EXPECT_NE(lvol, nullptr) << "told of a volume that is not there";
    if (lvol == nullptr) co_return;
    if (of.empty()) lvol->content = known.key.value;
    known.content = lvol->content;
    client.volumes.push_back(std::move(known));
  }

  Task<void> destroy(Client& client) {
    VolumeId key = any(client).key;
    client.maybe_gone.insert(key);
    auto context = rig_.context("Volume.destroy");
    auto done = co_await rig_.services->volume_destroy(context, rig_.sr, key);
    if (done) std::erase_if(client.volumes, [&key](const Known& k) { return k.key == key; });
    client.maybe_gone.erase(key);
  }

  Task<void> grow(Client& client) {
    Known known = any(client);
    if (known.snapshot) co_return;
    auto want = known.size + MiB(8);
    auto context = rig_.context("Volume.resize");
    auto done = co_await rig_.services->volume_resize(context, rig_.sr, known.key, want);
    for (auto& k : client.volumes)
      if (k.key == known.key && done && k.size < want) k.size = want;
  }

  Task<void> lend(Client& client) {
    VolumeId key = any(client).key;
    std::string uri = rig_.uri(key), domain = pick(2) == 0 ? "7" : "u0_" + std::to_string(client.number);
    bool read_only = pick(4) == 0;
    auto context = rig_.context("Datapath.attach");
    auto attached = co_await rig_.services->datapath_attach(context, uri, domain);
    context = rig_.context("Datapath.activate");
    if (attached) (void)co_await rig_.services->datapath_activate(context, uri, domain, read_only);
    context = rig_.context("Datapath.deactivate");
    auto released = co_await rig_.services->datapath_deactivate(context, uri, domain);
    EXPECT_TRUE(released) << "deactivate never fails (R3): " << released.error().describe();
  }

  void heal() {
    rig_.plan.disarm();
    late();
    rig_.card.power(true);
    pass(seconds(60));  // calls end, the last at their deadline
    for (auto& client : clients_) EXPECT_FALSE(client.busy) << "a call outlived its deadline";
    rig_.domains.running.clear();
    ASSERT_TRUE(rig_.settle(std::chrono::minutes(5))) << "it does not come to rest";
    rig_.check("healed");
    auto list = rig_.run<Result<std::vector<smapi::Volume>>>(
        [this] { return rig_.services->sr_ls(rig_.context("SR.ls"), rig_.sr); });
    ASSERT_TRUE(list && *list);
    std::map<VolumeId, smapi::Volume> listed;
    for (const auto& v : **list) listed.emplace(v.key, v);
    std::size_t told = 0, doubts = 0;
    for (const auto& client : clients_) {
      doubts += client.maybe_made + client.maybe_gone.size();
      for (const auto& known : client.volumes) {
        if (client.maybe_gone.contains(known.key)) continue;
        ++told;
        ASSERT_TRUE(listed.contains(known.key)) << "a volume that was told of is gone";
        EXPECT_GE(listed[known.key].virtual_size, known.size);
        EXPECT_EQ(rig_.lvol(known.key)->content, known.content) << "its bytes are others";
      }
    }
    EXPECT_LE(listed.size(), told + doubts) << "volumes that nobody was told of";
  }

  std::mt19937_64 random_;
  Rig rig_;
  std::array<Client, 4> clients_;
};

TEST(Chaos, HealsFromEverySeed) {
  auto first = from_env("VNVME_SEED", 1), many = from_env("VNVME_SEEDS", 60);
  std::size_t calls = 0, deaths = 0, faults = 0;
  auto began = std::chrono::steady_clock::now();
  std::uint64_t seed = first;
  for (; seed < first + many && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Chaos chaos(seed);
    chaos.run();
    calls += chaos.calls;
    deaths += chaos.deaths;
    faults += chaos.faults;
  }
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::cout << seed - first << " seeds, " << calls << " calls, " << faults << " faults, " << deaths
            << " deaths, " << static_cast<double>(seed - first) / took.count() << " seeds a second\n";
  EXPECT_GT(faults, (seed - first) / 2) << "trouble that never happens proves nothing";
}

}  // namespace
}  // namespace vnvme::test
