#include "service/reservation_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/log.hpp"

namespace vnvme::service {
namespace {

// Nothing: no regular file, too large, or not to be read.
std::optional<std::string> read_former(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) return std::nullopt;
  struct stat info {};
  std::optional<std::string> out;
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size >= 0 &&
      static_cast<std::size_t>(info.st_size) <= gate::kFileLimit) {
    std::string text(static_cast<std::size_t>(info.st_size), '\0');
    std::size_t have = 0;
    ssize_t n = 0;
    while (have < text.size() && (n = ::read(fd, text.data() + have, text.size() - have)) > 0)
      have += static_cast<std::size_t>(n);
    if (have == text.size()) out = std::move(text);
  }
  ::close(fd);
  return out;
}

std::optional<gate::Why> awaited(const FunctionId& function, const SeenFunctions* seen) {
  if (function.empty()) return gate::Why::opening;
  if (seen == nullptr) return gate::Why::unseen;
  auto at = seen->functions.find(function);
  if (at == seen->functions.end()) return seen->listed ? gate::Why::gone : gate::Why::unseen;
  if (at->second.address || at->second.ready) return std::nullopt;
  return gate::Why::opening;
}

int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    auto n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : EIO;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

}  // namespace

gate::Reservations reservations_for_gate(const AllReserved& reserved, const AllSeen& seen, std::string boot) {
  gate::Reservations out;
  out.boot = std::move(boot);
  std::map<std::pair<DpuId, FunctionId>, VmId> holders;
  for (const auto& [key, function] : reserved) {
    const auto& [vm, dpu] = key;
    if (!parse_uuid(vm.value)) continue;
    if (!function.empty()) holders[{dpu, function}] = vm;
    auto at = seen.find(dpu);
    if (auto why = awaited(function, at == seen.end() ? nullptr : &at->second))
      out.awaited.push_back({vm.value, *why, dpu.value});
  }
  for (const auto& [dpu, one] : seen)
    for (const auto& [id, place] : one.functions) {
      if (!place.address) continue;
      auto holder = holders.find({dpu, id});
      out.functions.push_back({*place.address, holder == holders.end() ? std::string() : holder->second.value,
                               dpu.value, id.value});
    }
  return out;
}

void ReservationFile::begin(const std::vector<ReservationRecord>& reserved, std::set<DpuId> dpus) {
  if (path_.empty()) return;
  for (const ReservationRecord& r : reserved) {
    reserved_[{r.vm, r.dpu}] = r.function;
    dpus.insert(r.dpu);
  }
  auto former = read_former(path_);
  auto known = former ? gate::decode(*former) : gate::Decoded{};
  if (known.value && !boot_.empty() && known.value->boot == boot_)
    for (const gate::Function& f : known.value->functions)
      if (dpus.contains(DpuId(f.dpu))) seen_[DpuId(f.dpu)].functions[FunctionId(f.id)] = {f.address, true};
  write();
}

void ReservationFile::committed(const std::vector<Change>& changes) {
  if (path_.empty()) return;
  bool touched = false;
  for (const Change& change : changes) {
    if (const auto* put = std::get_if<Put<ReservationRecord>>(&change)) {
      reserved_[{put->record.vm, put->record.dpu}] = put->record.function;
      touched = true;
    } else if (const auto* gone = std::get_if<EraseReservation>(&change)) {
      reserved_.erase({gone->vm, gone->dpu});
      touched = true;
    }
  }
  if (touched) write();
}

void ReservationFile::note(const DpuId& dpu, const dpu::Function& function) {
  if (function.foreign || function.id.empty()) return;
  auto address = gate::parse_pci_address(function.bdf);
  // Addresses are used again: who was seen there last is there.
  if (address)
    for (auto& [other, one] : seen_)
      if (other != dpu)
        std::erase_if(one.functions, [&](const auto& f) { return f.second.address == address; });
  seen_[dpu].functions[function.id] = {address, function.ready};
}

void ReservationFile::listed(const DpuId& dpu, const std::vector<dpu::Function>& functions, bool all) {
  if (path_.empty()) return;
  SeenFunctions& one = seen_[dpu];
  if (all) one.functions.clear();
  one.listed = one.listed || all;
  for (const dpu::Function& f : functions)
    if (all || !f.bdf.empty()) note(dpu, f);
  write();
}

void ReservationFile::opened(const DpuId& dpu, const dpu::Function& function) {
  if (path_.empty()) return;
  note(dpu, function);
  write();
}

bool ReservationFile::is_as_written() const {
  struct stat info {};
  return !written_.empty() && ::lstat(path_.c_str(), &info) == 0 && info.st_ino == inode_ &&
         static_cast<std::size_t>(info.st_size) == written_.size();
}

void ReservationFile::write() {
  auto text = gate::encode(reservations_for_gate(reserved_, seen_, boot_.empty() ? "unknown" : boot_));
  if (!text) return complain("there are more functions, or longer names, than it can hold");
  if (*text == written_ && is_as_written()) return;
  int error = replace(*text);
  if (error != 0) return complain(std::generic_category().message(error));
  written_ = std::move(*text);
  if (!trouble_.empty()) events_.add("info", "reservations", path_ + " is written again");
  trouble_.clear();
}

// Root only: nobody else starts VMs. /run is memory and new at each boot, so there is nothing to wait for and
// nothing to sync; a reader sees the former file or the new one.
int ReservationFile::replace(const std::string& text) {
  const std::string fresh = path_ + ".new";
  (void)::unlink(fresh.c_str());
  int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  struct stat info {};
  int error = write_all(fd, text);
  if (error == 0 && ::fstat(fd, &info) != 0) error = errno;
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(fresh.c_str(), path_.c_str()) != 0) error = errno;
  if (error != 0) (void)::unlink(fresh.c_str());
  if (error == 0) inode_ = info.st_ino;
  return error;
}

void ReservationFile::complain(const std::string& why) {
  if (trouble_ == why) return;
  trouble_ = why;
  const std::string text =
      path_ + " cannot be written: " + why +
      "; until it can, the vm-pre-start hook may refuse VMs whose vNVMe function changed";
  events_.add("error", "reservations", text);
  log::error(text, {});
}

}  // namespace vnvme::service
