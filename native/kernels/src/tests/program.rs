use super::*;
use crate::naive::scalars;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Case {
    columns: Vec<Vec<Fr>>,
    queries: Vec<(usize, i64)>,
    constants: Vec<Fr>,
    scalars: Vec<Fr>,
    ops: Vec<(Code, usize, usize)>,
    outputs: Vec<usize>,
}

impl Case {
    fn naive(&self) -> Vec<Vec<Fr>> {
        let n = self.columns[0].len();
        let at = |row: usize, rotation: i64| (row as i64 + rotation).rem_euclid(n as i64) as usize;
        let mut outputs = vec![Vec::new(); self.outputs.len()];
        for row in 0..n {
            let queries = self.queries.iter().map(|(column, rotation)| self.columns[*column][at(row, *rotation)]);
            let mut values: Vec<Fr> = queries.chain(self.constants.clone()).chain(self.scalars.clone()).collect();
            for (code, left, right) in &self.ops {
                let (a, b) = (values[*left], values[*right]);
                values.push(match code {
                    Code::Add => a.add(&b),
                    Code::Sub => a.sub(&b),
                    Code::Mul => a.mul(&b),
                });
            }
            outputs.iter_mut().zip(&self.outputs).for_each(|(out, value)| out.push(values[*value]));
        }
        outputs
    }

    fn check(&self) {
        let (queries, constants) = (self.queries.clone(), self.constants.clone());
        let program = Program::new(queries, constants, self.scalars.len(), &self.ops, &self.outputs).unwrap();
        let columns: Vec<Column> = self.columns.iter().map(|c| c.as_slice().into()).collect();
        let expected = self.naive();
        assert!(program.run(&columns, columns[0].len(), &self.scalars) == expected);
        assert!(program.run_portable(&columns, columns[0].len(), &self.scalars) == expected);
        let read = |(column, rotation): &(usize, i64)| -> Vec<Fr> {
            let n = self.columns[*column].len();
            (0..n).map(|row| self.columns[*column][(row as i64 + rotation).rem_euclid(n as i64) as usize]).collect()
        };
        let values: Vec<Vec<Fr>> = self.queries.iter().map(read).collect();
        let values: Vec<Column> = values.iter().map(|v| v.as_slice().into()).collect();
        assert!(program.run_queried(&values, values[0].len(), &self.scalars) == expected);
    }
}

fn case() -> impl Strategy<Value = Case> {
    let code = prop_oneof![Just(Code::Add), Just(Code::Sub), Just(Code::Mul)];
    (1usize..5, 1usize..300).prop_flat_map(move |(width, n)| {
        let shape = (
            proptest::collection::vec(scalars(n), width),
            proptest::collection::vec((0..width, -(n as i64) - 2..n as i64 + 3), 1..6),
            scalars(0..4),
            scalars(0..4),
        );
        (shape, proptest::collection::vec((code.clone(), any::<usize>(), any::<usize>()), 0..60)).prop_flat_map(
            |((columns, queries, constants, scalars), ops)| {
                let inputs = queries.len() + constants.len() + scalars.len();
                // Operands from all that came before, the latest more often: long chains.
                let operand = |at: usize, random: usize| match random % 3 {
                    0 => at - 1,
                    _ => random / 3 % at,
                };
                let ops: Vec<(Code, usize, usize)> = ops
                    .into_iter()
                    .enumerate()
                    .map(|(i, (code, a, b))| (code, operand(inputs + i, a), operand(inputs + i, b)))
                    .collect();
                let outputs = proptest::collection::vec(0..inputs + ops.len(), 1..5);
                (Just((columns, queries, constants, scalars, ops)), outputs).prop_map(
                    |((columns, queries, constants, scalars, ops), outputs)| Case {
                        columns,
                        queries,
                        constants,
                        scalars,
                        ops,
                        outputs,
                    },
                )
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn programs_are_what_they_say(case in case()) {
        case.check();
    }
}

proptest! {
    /// Integers of any width, as columns, are what they are as field elements.
    #[test]
    fn integers_are_read_as_they_are(
        rows in proptest::collection::vec((any::<i8>(), any::<i16>(), any::<i32>(), any::<i64>()), 1..300),
        rotations in proptest::collection::vec(-3i64..4, 4),
    ) {
        let least = [(i8::MIN, i16::MIN, i32::MIN, i64::MIN), (i8::MAX, i16::MAX, i32::MAX, i64::MAX), (0, 0, 0, 0)];
        let rows: Vec<_> = rows.into_iter().chain(least).collect();
        let (a, b): (Vec<i8>, Vec<i16>) = rows.iter().map(|row| (row.0, row.1)).unzip();
        let (c, d): (Vec<i32>, Vec<i64>) = rows.iter().map(|row| (row.2, row.3)).unzip();
        let ints = [Ints::I8(&a), Ints::I16(&b), Ints::I32(&c), Ints::I64(&d)];
        let field: Vec<Vec<Fr>> = ints.iter().map(|ints| ints.to_field()).collect();
        let field: Vec<Column> = field.iter().map(|values| values.as_slice().into()).collect();
        let ints: Vec<Column> = ints.into_iter().map(Column::from).collect();
        let queries: Vec<(usize, i64)> = rotations.into_iter().enumerate().collect();
        // Products and differences of all, and a column as it is.
        let ops = [(Code::Mul, 0, 1), (Code::Sub, 2, 4), (Code::Mul, 3, 5), (Code::Add, 6, 6)];
        let program = Program::new(queries, vec![], 0, &ops, &[4, 5, 6, 7, 2, 3]).unwrap();
        let expected = program.run_portable(&field, rows.len(), &[]);
        prop_assert!(program.run(&ints, rows.len(), &[]) == expected);
        prop_assert!(program.run_portable(&ints, rows.len(), &[]) == expected);
    }
}

/// Chains of one operation, and doublings, over the largest values that memory holds: bounds grow as fast as they can.
#[test]
fn nothing_outgrows_a_register() {
    let largest = Fr(crate::field::MODULUS).sub(&Fr([1, 0, 0, 0]));
    for code in [Code::Add, Code::Sub, Code::Mul] {
        let chain: Vec<_> = (0..200).map(|i| if i % 2 == 0 { (code, 2 + i, 1) } else { (code, 0, 2 + i) }).collect();
        let doublings: Vec<_> = (0..100).map(|i| (code, 2 + i, 2 + i)).collect();
        for later in [chain, doublings] {
            let mut ops = vec![(code, 0, 1)];
            ops.extend(later);
            let columns = vec![vec![largest; 77], vec![largest; 77]];
            let last = 1 + ops.len();
            let outputs = vec![2, last / 2, last];
            let queries = vec![(0, 0), (1, 0)];
            Case { columns, queries, constants: vec![], scalars: vec![], ops, outputs }.check();
        }
    }
}

#[test]
fn bad_programs_are_refused() {
    let one = |ops: &[(Code, usize, usize)], outputs: &[usize]| Program::new(vec![(0, 0)], vec![], 0, ops, outputs);
    assert!(one(&[(Code::Add, 0, 1)], &[1]).is_err_and(|reason| reason.starts_with("op 0")));
    assert!(one(&[(Code::Add, 0, 0)], &[2]).is_err_and(|reason| reason.starts_with("output 2")));
    let program = one(&[(Code::Add, 0, 0)], &[]).unwrap();
    assert!(program.run(&[Column::Field(&[Fr::ONE])], 1, &[]).is_empty());
    assert_eq!(program.column_count(), 1);
}
