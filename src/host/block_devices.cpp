#include "host/block_devices.hpp"

#include <sys/stat.h>

#include <cerrno>

#include "host/file_device.hpp"
#include "host/nbd_device.hpp"
#include "host/text_file.hpp"

namespace vnvme::host {

Result<void> check_range(const std::string& path, std::uint64_t offset, std::uint64_t length, Bytes size,
                         std::uint64_t limit) {
  if (length > limit)
    return fail(Errc::invalid_argument,
                path + ": " + human(Bytes{length}) + " at once is more than " + human(Bytes{limit}));
  if (offset > size.value || length > size.value - offset)
    return fail(Errc::invalid_argument, path + ": beyond the end of " + human(size));
  return {};
}

Task<Result<std::unique_ptr<BlockDevice>>> LocalBlockDevices::open(std::string path, Deadline deadline) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) {
    if (errno == ENOENT) co_return fail(Errc::not_found, path + " does not exist");
    co_return fail(errno_error("look at", path, errno));
  }
  if (S_ISSOCK(st.st_mode)) co_return co_await open_nbd(std::move(path), deadline);
  if (S_ISBLK(st.st_mode) || S_ISREG(st.st_mode))
    co_return co_await open_file(pool_, std::move(path), deadline);
  co_return fail(Errc::invalid_argument, path + " is neither a block device nor a socket");
}

}  // namespace vnvme::host
