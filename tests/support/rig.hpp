// The services on fakes, under a clock that stands still until it is moved:
// boots, crashes, restarts, and checks that store, DPU and host agree.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "service/services.hpp"
#include "state/memory_store.hpp"
#include "support/fake_dpu.hpp"
#include "support/fake_toolstack.hpp"

namespace vnvme::test {

class FakePci : public host::Pci {
 public:
  explicit FakePci(FaultPlan& plan) : plan_(plan) {}
  Task<Result<std::optional<host::PciFunction>>> find(std::string bdf, Deadline) override;
  Task<Result<void>> bind_pciback(std::string bdf, Deadline) override;
  Task<Result<void>> bind_nvme(std::string bdf, Deadline) override;
  Task<Result<std::string>> block_device(std::string bdf, std::string uuid, Deadline) override;
  std::string boot_id() override { return boot; }
  std::string boot = "boot-1";
  std::map<std::string, std::string> drivers;

 private:
  FaultPlan& plan_;
};

class FakeDomains : public host::Domains {
 public:
  explicit FakeDomains(FaultPlan& plan) : plan_(plan) {}
  Task<Result<std::optional<VmId>>> vm_of(std::uint32_t domid, Deadline) override;
  Task<Result<std::vector<std::uint32_t>>> domains_of(VmId vm, Deadline) override;
  std::map<std::uint32_t, VmId> running;

 private:
  FaultPlan& plan_;
};

// Drives as dom0 sees them: their content is one string, repeated.
class FakeBlocks : public host::BlockDevices {
 public:
  explicit FakeBlocks(FaultPlan& plan) : plan_(plan) {}
  Task<Result<std::unique_ptr<host::BlockDevice>>> open(std::string path, Deadline) override;
  bool drives_hold_data = false;

 private:
  FaultPlan& plan_;
};

class FaultyStore : public Store {
 public:
  FaultyStore(state::MemoryStore& store, FaultPlan& plan) : store_(store), plan_(plan) {}
  Task<Result<Snapshot>> load() override { return store_.load(); }
  Task<Result<void>> commit(std::vector<Change> changes) override;

 private:
  state::MemoryStore& store_;
  FaultPlan& plan_;
};

class Rig {
 public:
  explicit Rig(std::size_t drives = 2);
  ~Rig();

  void boot();   // a new daemon over what is there
  void crash();  // the daemon is gone, at once
  // Runs the call until it answered; nothing when the daemon crashed (or the call hung for an hour of its
  // time).
  template <class T>
  std::optional<T> run(std::function<Task<T>()> call);
  // Lets the daemon work until nothing is open, at most that much of its time.
  bool settle(MonoClock::duration most = std::chrono::seconds(60));
  // The clock moves by `tick` whenever there is nothing to do; a coarse one for long waits is much faster.
  void advance(MonoClock::duration by, MonoClock::duration tick = std::chrono::milliseconds(50));

  // Calls, with the word said for those that need it.
  smapi::Context context(std::string method, std::string request = {});
  std::optional<Result<SrId>> make_sr(const std::string& extra_key = {}, const std::string& extra_value = {});
  std::optional<Result<smapi::Volume>> create(std::string name, Bytes size, std::string request = {});
  std::optional<Result<smapi::Volume>> snapshot(VolumeId, std::string request = {});
  std::optional<Result<smapi::Volume>> clone(VolumeId, std::string request = {});
  std::optional<Result<void>> destroy(VolumeId);
  std::optional<Result<void>> reserve(const VmId&);
  std::optional<Result<smapi::Backend>> attach(VolumeId, std::string domain);
  std::optional<Result<void>> activate(VolumeId, std::string domain, bool read_only = false);
  std::optional<Result<void>> release(VolumeId, std::string domain);
  std::string uri(const VolumeId& v) const { return smapi::make_uri(sr, v); }
  Lvol* lvol(const VolumeId& v);

  // C1 to C6, I1, I5: what must hold when nothing is open. One failed expectation each.
  void check(const std::string& where);

  FaultPlan plan;
  Card card;
  state::MemoryStore memory;
  FaultyStore store{memory, plan};
  FakePci pci{plan};
  FakeDomains domains{plan};
  FakeBlocks blocks{plan};
  EventLog events;
  Bytes wipe_piece = GiB(1);  // of the next boot
  FakeToolstack xapi{plan};
  // Puts a family on top of the fake card, from the next boot on.
  std::function<std::unique_ptr<dpu::Dpu>(boost::asio::io_context&, std::unique_ptr<dpu::Dpu>)> family;
  bool with_xapi = false;           // of the next boot
  std::size_t spare_functions = 0;  // of the next boot
  SrId sr{"11111111-2222-3333-4444-555555555555"};
  VmId vm{"aaaaaaaa-0000-0000-0000-000000000001"};
  std::unique_ptr<boost::asio::io_context> io;
  std::unique_ptr<service::Services> services;

 private:
  std::optional<Result<smapi::Volume>> with_word(smapi::Context context,
                                                 std::function<Task<Result<smapi::Volume>>()> call);
  void check_volumes(const Snapshot& now, const std::string& where);
  void check_exposures(const Snapshot& now, const std::string& where);
};

template <class T>
std::optional<T> Rig::run(std::function<Task<T>()> call) {
  std::optional<T> answer;
  boost::asio::co_spawn(
      *io, [call]() -> Task<T> { co_return co_await call(); },
      [&answer](std::exception_ptr failure, T value) {
        if (failure) std::rethrow_exception(failure);
        answer.emplace(std::move(value));
      });
  auto begin = MonoClock::now();
  while (!answer && !plan.crashed() && MonoClock::now() - begin < std::chrono::hours(1)) {
    io->restart();
    if (io->poll() == 0) MonoClock::advance(std::chrono::milliseconds(50));
  }
  if (!answer && !plan.crashed()) ADD_FAILURE() << "a call hung for an hour, at " << plan.where();
  if (!answer && !plan.crashed()) crash();  // its handler holds a reference to this frame
  if (plan.crashed()) crash();
  return answer;
}

}  // namespace vnvme::test
