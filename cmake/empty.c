/* SPDX-License-Identifier: Apache-2.0 */
/* A layer with no source yet still needs one translation unit. */
typedef int cmake_empty_translation_unit;
