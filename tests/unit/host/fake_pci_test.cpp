#include "host/fake_pci.hpp"

#include "host/xenstore_domains.hpp"
#include "unit/host/host_support.hpp"
#include "vnvme/ids.hpp"

namespace vnvme::host {
namespace {

const std::string kDevice = "sys/bus/pci/devices/" + kBdf;

class Fake : public ::testing::Test {
 protected:
  Fake() {
    tree_.file(kDevice + "/driver_override", "");
    tree_.file(kDevice + "/resets", "0\n");
    tree_.folder("sys/bus/pci/drivers/nvme");
    tree_.folder("sys/bus/pci/drivers/pciback");
  }
  void add(int nsid, const std::string& uuid, const std::string& bdf = kBdf) {
    tree_.file("sys/bus/pci/devices/" + bdf + "/namespaces/" + std::to_string(nsid),
               R"({"nsid":)" + std::to_string(nsid) + R"(,"uuid":")" + uuid +
                   R"(","size":1048576,"nbd":"/run/x/)" + uuid + ".sock\"}");
  }
  Result<std::string> device(const std::string& uuid, Deadline deadline, const std::string& bdf = kBdf) {
    return run_task(io_, pci_.block_device(bdf, uuid, deadline));
  }
  boost::asio::io_context io_;
  Tree tree_;
  FakePci pci_{tree_.path()};
};

TEST_F(Fake, BindsCountsResetsAndIsIdempotent) {
  EXPECT_EQ(run_task(io_, pci_.find(kBdf, soon())).value()->driver, "");
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(run_task(io_, pci_.bind_pciback(kBdf, soon())));
  EXPECT_EQ(run_task(io_, pci_.find(kBdf, soon())).value()->driver, "pciback");
  EXPECT_EQ(tree_.read(kDevice + "/resets"), "1\n");
  EXPECT_EQ(tree_.read(kDevice + "/driver_override"), "pciback");
  ASSERT_TRUE(pci_.reset(kBdf));
  EXPECT_EQ(tree_.read(kDevice + "/resets"), "2\n");
  ASSERT_TRUE(run_task(io_, pci_.bind_nvme(kBdf, soon())));
  EXPECT_EQ(run_task(io_, pci_.find(kBdf, soon())).value()->driver, "nvme");
  EXPECT_EQ(run_task(io_, pci_.bind_nvme("0000:00:00.0", soon())).error().code, Errc::not_found);
  EXPECT_FALSE(run_task(io_, pci_.find("0000:00:00.0", soon())).value());
  tree_.file(kDevice + "/resets", "many");
  EXPECT_EQ(pci_.reset(kBdf).error().code, Errc::protocol);
}

TEST_F(Fake, DevicesComeAndGoWithTheirNamespaces) {
  const std::string other = "00000000-0000-4000-8000-000000000000";
  add(1, kUuid);
  EXPECT_EQ(device(kUuid, soon()).error().code, Errc::not_permitted) << "not bound to nvme";
  ASSERT_TRUE(run_task(io_, pci_.bind_nvme(kBdf, soon())));
  EXPECT_EQ(device(kUuid, soon()).value(), tree_ / "dev/nvme0n1");
  EXPECT_EQ(std::filesystem::read_symlink(tree_ / "dev/nvme0n1"), "/run/x/" + kUuid + ".sock");
  EXPECT_EQ(device(other, at_once()).error().code, Errc::timeout);
  tree_.file(kDevice + "/namespaces/2", R"({"nsid":2,"uuid":)");  // half written
  EXPECT_EQ(device(kUuid, soon()).value(), tree_ / "dev/nvme0n1");
  std::filesystem::remove(tree_ / (kDevice + "/namespaces/1"));
  add(2, other);
  EXPECT_EQ(device(other, soon()).value(), tree_ / "dev/nvme0n2");
  EXPECT_FALSE(tree_.has("dev/nvme0n1")) << "stale";
  ASSERT_TRUE(run_task(io_, pci_.bind_pciback(kBdf, soon())));
  EXPECT_FALSE(tree_.has("dev/nvme0n2"));
  EXPECT_FALSE(tree_.has(kDevice + "/nvme"));
}

TEST_F(Fake, ControllersHaveNumbersOfTheirOwn) {
  const std::string second = "0000:3b:00.3";
  tree_.file("sys/bus/pci/devices/" + second + "/driver_override", "");
  add(1, kUuid);
  add(1, "00000000-0000-4000-8000-000000000000", second);
  ASSERT_TRUE(run_task(io_, pci_.bind_nvme(kBdf, soon())));
  ASSERT_TRUE(run_task(io_, pci_.bind_nvme(second, soon())));
  EXPECT_EQ(device(kUuid, soon()).value(), tree_ / "dev/nvme0n1");
  EXPECT_EQ(device("00000000-0000-4000-8000-000000000000", soon(), second).value(), tree_ / "dev/nvme1n1");
  ASSERT_TRUE(run_task(io_, pci_.bind_pciback(kBdf, soon())));
  EXPECT_TRUE(tree_.has("dev/nvme1n1")) << "another function's";
  FakePci after_restart(tree_.path());
  EXPECT_EQ(run_task(io_, after_restart.block_device(second, "00000000-0000-4000-8000-000000000000", soon()))
                .value(),
            tree_ / "dev/nvme1n1");
}

TEST_F(Fake, AFunctionThatVanishesIsNotFound) {  // F8
  ASSERT_TRUE(run_task(io_, pci_.bind_nvme(kBdf, soon())));
  std::filesystem::remove_all(tree_ / kDevice);
  EXPECT_EQ(device(kUuid, soon()).error().code, Errc::not_found);
  EXPECT_EQ(run_task(io_, pci_.bind_pciback(kBdf, soon())).error().code, Errc::not_found);
}

TEST_F(Fake, BootIdStaysUntilTheReboot) {
  std::string first = pci_.boot_id();
  EXPECT_TRUE(parse_uuid(first));
  EXPECT_EQ(FakePci(tree_.path()).boot_id(), first);
  std::filesystem::remove(tree_ / "proc/sys/kernel/random/boot_id");
  EXPECT_NE(pci_.boot_id(), first);
}

class Xen : public ::testing::Test {
 protected:
  Result<std::optional<VmId>> vm(std::uint32_t domid) { return run_task(io_, domains_.vm_of(domid, soon())); }
  boost::asio::io_context io_;
  Tree tree_;
  ScriptedDomains domains_{tree_.path()};
};

TEST_F(Xen, DomainsAndTheirVms) {
  EXPECT_EQ(run_task(io_, domains_.domains_of(VmId(kUuid), soon())).value().size(), 0u);
  tree_.file("local/domain/7/vm", "/vm/" + kUuid);
  tree_.file("local/domain/12/vm", "/vm/" + kUuid);
  tree_.file("local/domain/0/vm", "/vm/00000000-0000-0000-0000-000000000000");
  tree_.folder("local/domain/13");  // just being made: no vm key yet
  EXPECT_EQ(vm(7).value(), VmId(kUuid));
  EXPECT_EQ(vm(8).value(), std::nullopt);
  EXPECT_EQ(vm(13).value(), std::nullopt);
  EXPECT_EQ(vm(40000).error().code, Errc::invalid_argument);
  EXPECT_EQ(run_task(io_, domains_.domains_of(VmId(kUuid), soon())).value(),
            (std::vector<std::uint32_t>{12, 7}));
}

TEST_F(Xen, WhatCannotBeUnderstoodIsAnError) {  // I2
  for (const std::string& bad :
       {std::string(), std::string("/vm/"), "/vm/" + kUuid + "/../x", std::string("vm/") + kUuid,
        std::string(5000, '/'), std::string("\0\xff", 2)}) {
    tree_.file("local/domain/7/vm", bad);
    EXPECT_EQ(vm(7).error().code, Errc::protocol);
    EXPECT_EQ(run_task(io_, domains_.domains_of(VmId(kUuid), soon())).error().code, Errc::protocol);
  }
  tree_.file("local/domain/7/vm", "/vm/" + kUuid);
  for (const char* bad : {"x", "-1", "007", "99999999999", "32752"}) {
    tree_.folder(std::string("local/domain/") + bad);
    EXPECT_EQ(run_task(io_, domains_.domains_of(VmId(kUuid), soon())).error().code, Errc::protocol) << bad;
    std::filesystem::remove(tree_ / (std::string("local/domain/") + bad));
  }
}

}  // namespace
}  // namespace vnvme::host
