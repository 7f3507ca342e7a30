// A range of bytes that can be read and written. Every call returns 0 or an errno.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace vnvme::sim {

class BlockDevice {
 public:
  BlockDevice() = default;
  BlockDevice(const BlockDevice&) = delete;
  BlockDevice& operator=(const BlockDevice&) = delete;
  virtual ~BlockDevice() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  virtual int read(std::uint64_t offset, std::span<char> into) = 0;
  virtual int write(std::uint64_t offset, std::span<const char> from) = 0;
  virtual int zero(std::uint64_t offset, std::uint64_t length) = 0;
  // NVMe deallocate: whether zeros are read afterwards is the device's business.
  virtual int unmap(std::uint64_t offset, std::uint64_t length) = 0;

 protected:
  [[nodiscard]] bool inside(std::uint64_t offset, std::uint64_t length) const {
    return offset <= size() && length <= size() - offset;
  }
};

// A sparse file, or memory (a memfd) when the path is empty.
class FileDevice : public BlockDevice {
 public:
  // errno through *error; size 0 takes the file's own size and never grows it.
  static std::unique_ptr<FileDevice> open(const std::string& path, std::uint64_t size, bool unmap_zeroes,
                                          int* error);
  ~FileDevice() override;
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  int read(std::uint64_t offset, std::span<char> into) override;
  int write(std::uint64_t offset, std::span<const char> from) override;
  int zero(std::uint64_t offset, std::uint64_t length) override;
  int unmap(std::uint64_t offset, std::uint64_t length) override;
  void rescan();  // takes the file's size anew

 private:
  FileDevice(int fd, std::uint64_t size, bool unmap_zeroes)
      : fd_(fd), size_(size), unmap_zeroes_(unmap_zeroes) {}
  int fd_;
  std::uint64_t size_;
  bool unmap_zeroes_;
};

// raid0, raid1, concat and raid5f (data placement only: the parity strip is left as it is, nothing reads it).
class RaidDevice : public BlockDevice {
 public:
  enum class Level { raid0, raid1, concat, raid5f };
  // bases may hold null where a raid1 lacks a member; offset is where data begins on each.
  RaidDevice(Level level, std::uint64_t strip, std::uint64_t offset, std::vector<BlockDevice*> bases,
             std::vector<std::uint64_t> data_sizes);
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  int read(std::uint64_t offset, std::span<char> into) override;
  int write(std::uint64_t offset, std::span<const char> from) override;
  int zero(std::uint64_t offset, std::uint64_t length) override;
  int unmap(std::uint64_t offset, std::uint64_t length) override { return zero(offset, length); }
  void set_base(std::size_t slot, BlockDevice* base) { bases_[slot] = base; }
  // Copies a surviving mirror to the given slot.
  int rebuild(std::size_t slot);

 private:
  struct Piece {
    std::size_t base;
    std::uint64_t offset, length;
  };
  [[nodiscard]] Piece piece(std::uint64_t offset, std::uint64_t length) const;
  template <class F>
  int each(std::uint64_t offset, std::uint64_t length, bool all_mirrors, F act);
  Level level_;
  std::uint64_t strip_, data_offset_, size_ = 0;
  std::vector<BlockDevice*> bases_;
  std::vector<std::uint64_t> data_sizes_;
};

}  // namespace vnvme::sim
