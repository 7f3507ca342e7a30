// Block devices for our own use: NBD where the path leads to a unix socket, the kernel's else.
#pragma once
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <string>

#include "vnvme/host.hpp"

namespace vnvme::host {

class LocalBlockDevices final : public BlockDevices {
 public:
  // threads: for calls that block. A device that hangs keeps one each call until the kernel gives up.
  explicit LocalBlockDevices(std::size_t threads = 2) : pool_(threads) {}
  LocalBlockDevices(const LocalBlockDevices&) = delete;
  LocalBlockDevices& operator=(const LocalBlockDevices&) = delete;
  // Waits for calls that still run.
  ~LocalBlockDevices() override { pool_.join(); }

  // The devices opened must not outlive this object. A device takes one call at a time; a second one is
  // `busy`.
  Task<Result<std::unique_ptr<BlockDevice>>> open(std::string path, Deadline) override;

 private:
  boost::asio::thread_pool pool_;
};

// Bound of one read and of one write.
inline constexpr std::size_t kMaxTransfer = 16u << 20;

// offset and length lie within the device, and length within the limit.
Result<void> check_range(const std::string& path, std::uint64_t offset, std::uint64_t length, Bytes size,
                         std::uint64_t limit);

}  // namespace vnvme::host
