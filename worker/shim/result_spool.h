// Results that wait to be stored, one file each: spool_dir/results/<prediction>-<attempt>. Written
// by the shim before it reports a result; read by a daemon that finds a dead shim's spool.
//
// No fsync: the design asks that a finished result survives the death of the daemon and of the
// shim, which the page cache does. After a power loss the attempt is run again (docs/adr/0007).

#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"

namespace mimeo::worker {

// Below `spool_dir`.
[[nodiscard]] std::string result_path(const std::string& spool_dir, const std::string& attempt);

// `payload` is a serialized AttemptResult. A length in front of it tells a whole file from one
// whose writer died.
[[nodiscard]] Status write_result_file(const std::string& path, const std::string& payload);

// The payloads of all whole result files of this spool, in no order; empty when there is none.
[[nodiscard]] std::vector<std::string> read_result_files(const std::string& spool_dir);

}  // namespace mimeo::worker
