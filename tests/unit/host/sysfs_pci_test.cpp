// SysfsPci against a tree in which FIFOs stand for the kernel's files: a thread reads the commands and does
// what the kernel would, and a FIFO that nobody reads is a write that hangs.
#include "host/sysfs_pci.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "unit/host/host_support.hpp"
#include "vnvme/ids.hpp"

namespace vnvme::host {
namespace {

const std::string kDevice = "sys/bus/pci/devices/" + kBdf;
const std::string kDrivers = "sys/bus/pci/drivers/";

class Kernel {
 public:
  explicit Kernel(const Tree& tree) : tree_(tree) {
    for (const char* name : {"nvme/unbind", "pciback/unbind", "nvme/bind", "pciback/bind"}) {
      tree_.folder(std::filesystem::path(kDrivers + name).parent_path());
      EXPECT_EQ(::mkfifo((tree_ / (kDrivers + name)).c_str(), 0600), 0);
      fds_.push_back(::open((tree_ / (kDrivers + name)).c_str(), O_RDWR | O_CLOEXEC));
    }
    EXPECT_EQ(::pipe2(stop_, O_CLOEXEC), 0);
    thread_ = std::thread([this] { serve(); });
  }
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  ~Kernel() {
    ::close(stop_[1]);
    thread_.join();
    for (int fd : fds_) ::close(fd);
    ::close(stop_[0]);
  }
  std::atomic<int> commands{0};

 private:
  void serve() {
    for (;;) {
      std::vector<pollfd> polls;
      for (int fd : fds_) polls.push_back({fd, POLLIN, 0});
      polls.push_back({stop_[0], POLLIN, 0});
      if (::poll(polls.data(), polls.size(), -1) < 0 || polls.back().revents) return;
      for (std::size_t i = 0; i < fds_.size(); ++i)
        if (polls[i].revents) obey(i);
    }
  }
  void obey(std::size_t which) {
    char text[64];
    ssize_t n = ::read(fds_[which], text, sizeof text);
    ++commands;
    if (std::string(text, n > 0 ? static_cast<std::size_t>(n) : 0) != kBdf) return;
    if (which == 2) tree_.link("../../drivers/nvme", kDevice + "/driver");
    if (which == 3) tree_.link("../../drivers/pciback", kDevice + "/driver");
    if (which < 2) std::filesystem::remove(tree_ / (kDevice + "/driver"));
  }
  const Tree& tree_;
  std::vector<int> fds_;
  int stop_[2]{};
  std::thread thread_;
};

class Sysfs : public ::testing::Test {
 protected:
  Sysfs() {
    tree_.file(kDevice + "/driver_override", "(null)\n");
    tree_.folder(kDrivers + "nvme");
    tree_.file(kDrivers + "pciback/new_slot", "");
  }
  std::string driver() {
    auto found = run_task(io_, pci_.find(kBdf, soon()));
    return found && *found ? (*found)->driver : "?";
  }
  // This kernel acts on its own thread, a moment after the write: the answer may come before the effect.
  bool becomes(const std::string& wanted) {
    const Deadline limit = soon();
    while (driver() != wanted && !limit.passed()) std::this_thread::yield();
    return driver() == wanted;
  }
  boost::asio::io_context io_;
  Tree tree_;
  SysfsPci pci_{tree_.path()};
};

TEST_F(Sysfs, FindTellsAbsenceFromNoDriver) {
  EXPECT_EQ(driver(), "");
  EXPECT_FALSE(run_task(io_, pci_.find("0000:3b:00.3", soon())).value());
  EXPECT_EQ(run_task(io_, pci_.find("../../x", soon())).error().code, Errc::invalid_argument);
  tree_.link("../../drivers/nvme", kDevice + "/driver");
  EXPECT_EQ(driver(), "nvme");
}

TEST_F(Sysfs, BindsThereAndBackAndAsksForNothingTwice) {  // I4
  Kernel kernel(tree_);
  tree_.link("../../drivers/nvme", kDevice + "/driver");
  (void)run_task(io_, pci_.bind_pciback(kBdf, soon()));
  ASSERT_TRUE(becomes("pciback"));
  EXPECT_EQ(tree_.read(kDevice + "/driver_override"), "pciback");
  EXPECT_EQ(tree_.read(kDrivers + "pciback/new_slot"), kBdf);
  EXPECT_EQ(kernel.commands, 2);
  ASSERT_TRUE(run_task(io_, pci_.bind_pciback(kBdf, soon()))) << "it has it already";
  (void)run_task(io_, pci_.bind_nvme(kBdf, soon()));
  ASSERT_TRUE(becomes("nvme"));
  EXPECT_EQ(kernel.commands, 4);
  EXPECT_EQ(tree_.read(kDevice + "/driver_override"), "nvme");
}

TEST_F(Sysfs, RefusesBeforeItWrites) {
  EXPECT_EQ(run_task(io_, pci_.bind_pciback("0000:3b:00.3", soon())).error().code, Errc::not_found);
  EXPECT_EQ(run_task(io_, pci_.bind_nvme("nonsense", soon())).error().code, Errc::invalid_argument);
  std::filesystem::remove_all(tree_ / (kDrivers + "pciback"));
  auto refused = run_task(io_, pci_.bind_pciback(kBdf, soon()));
  EXPECT_EQ(refused.error().code, Errc::not_permitted);
  EXPECT_EQ(tree_.read(kDevice + "/driver_override"), "(null)\n");
}

TEST_F(Sysfs, EachWriteThatFailsIsNamed) {  // F8
  tree_.link("../../drivers/nvme", kDevice + "/driver");
  for (const std::string& path : {kDevice + "/driver_override", kDrivers + "nvme/unbind",
                                  kDrivers + "pciback/new_slot", kDrivers + "pciback/bind"}) {
    for (const char* how : {"full", "absent", "folder"}) {
      for (const std::string& other : {kDevice + "/driver_override", kDrivers + "nvme/unbind",
                                       kDrivers + "pciback/new_slot", kDrivers + "pciback/bind"}) {
        std::filesystem::remove_all(tree_ / other);
        tree_.file(other, "");
      }
      std::filesystem::remove(tree_ / path);
      if (how == std::string("full")) tree_.link("/dev/full", path);
      if (how == std::string("folder")) tree_.folder(path);
      auto done = run_task(io_, pci_.bind_pciback(kBdf, soon()));
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error().code, Errc::io) << how;
      EXPECT_NE(done.error().text.find(path), std::string::npos) << how << ": " << done.error().text;
    }
  }
}

TEST_F(Sysfs, AKernelThatDoesNothingIsFoundOut) {
  tree_.file(kDrivers + "pciback/bind", "");
  auto done = run_task(io_, pci_.bind_pciback(kBdf, soon()));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::io);
  EXPECT_NE(done.error().text.find("has none"), std::string::npos) << done.error().text;
}

TEST_F(Sysfs, AHangingWriteIsAbandonedAndTheDeviceIsBusy) {  // F8
  ASSERT_EQ(::mkfifo((tree_ / (kDrivers + "pciback/bind")).c_str(), 0600), 0);
  auto done = run_task(io_, pci_.bind_pciback(kBdf, at_once()));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::timeout);
  EXPECT_EQ(done.error().outcome, Outcome::unknown);
  // The killed helper dies (a real dead device would keep it), and from then on the device can be tried
  // again.
  std::filesystem::remove(tree_ / (kDrivers + "pciback/bind"));
  tree_.link("/dev/full", kDrivers + "pciback/bind");
  Result<void> again;
  for (int i = 0; i < 100000; ++i) {
    again = run_task(io_, pci_.bind_pciback(kBdf, soon()));
    if (again.error().code != Errc::busy) break;
  }
  EXPECT_EQ(again.error().code, Errc::io);
}

TEST_F(Sysfs, BlockDeviceByUuidOnThatFunctionOnly) {
  tree_.file(kDevice + "/nvme/nvme3/nvme3n7/uuid", kUuid + "\n");
  tree_.file(kDevice + "/nvme/nvme3/nvme3n1/uuid", "00000000-0000-4000-8000-000000000000\n");
  tree_.file(kDevice + "/nvme/nvme3/address", kBdf);
  tree_.file("sys/bus/pci/devices/0000:3b:00.3/nvme/nvme4/nvme4n1/uuid",
             "11111111-0000-4000-8000-000000000000\n");
  EXPECT_EQ(run_task(io_, pci_.block_device(kBdf, kUuid, at_once())).error().code, Errc::timeout)
      << "no node in /dev";
  tree_.file("dev/nvme3n7", "");
  EXPECT_EQ(run_task(io_, pci_.block_device(kBdf, kUuid, soon())).value(), tree_ / "dev/nvme3n7");
  EXPECT_EQ(
      run_task(io_, pci_.block_device(kBdf, "11111111-0000-4000-8000-000000000000", at_once())).error().code,
      Errc::timeout);
  EXPECT_EQ(run_task(io_, pci_.block_device(kBdf, "no uuid", soon())).error().code, Errc::invalid_argument);
}

TEST_F(Sysfs, BlockDeviceIsWaitedFor) {
  tree_.file("dev/nvme0n1", "");
  boost::asio::co_spawn(
      io_,
      [this]() -> Task<void> {
        tree_.file(kDevice + "/nvme/nvme5/nvme0c5n1/wwid", "uuid." + kUuid);
        co_return;
      },
      [](const std::exception_ptr&) {});
  EXPECT_EQ(run_task(io_, pci_.block_device(kBdf, kUuid, soon())).value(), tree_ / "dev/nvme0n1");
}

TEST_F(Sysfs, BootId) {
  EXPECT_EQ(pci_.boot_id(), "");
  tree_.file("proc/sys/kernel/random/boot_id", kUuid + "\n");
  EXPECT_EQ(pci_.boot_id(), kUuid);
  EXPECT_TRUE(parse_uuid(SysfsPci().boot_id()));
}

}  // namespace
}  // namespace vnvme::host
